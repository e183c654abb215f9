"""What a run ran as: stored once, read back, exported, taken in again, freed with its last run."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest
from test_flow_names import old_store

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.errors import StoreCorrupt
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.packed import MOST, packed, unpacked
from flowdeck_store.read.provenance import CodeRecord, ProvenancePart, ProvenanceRecord
from flowdeck_store.read.reader import Reader
from flowdeck_store.upkeep.retention import delete_runs
from store_writing import Recorded, one, recording, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROCESS = {
    "executable": "/usr/bin/python3", "argv": ["etl.py", "--day", "3"], "env": {"TZ": "UTC"},
    "env_names": ["HOME"],
}  # fmt: skip
PACKAGES = packed("numpy==2.0\npandas==2.2")
DIFF = packed("-a = 1\n+a = 2\n")
LOAD = "def load():\n    pass\n"
CODE = packed(
    json.dumps({"parts": [["etl.load", "0a", LOAD, "etl.py:3"], ["etl.N", "1b", None, None]]})
)  # fmt: skip


def ran_as(session: Any, run: Recorded, code: bytes = CODE, *, ends: bool = True) -> None:
    run.run()
    emit = session.emit
    emit(ev.provenance(run.uid, run.us(), "process", "", json.dumps(PROCESS)))
    emit(ev.provenance(run.uid, run.us(), "packages", "", '{"id": "ab"}', PACKAGES))
    emit(ev.provenance(run.uid, run.us(), "git", "", '{"commit": "c0ffee", "dirty": true}', DIFF))
    emit(ev.provenance(run.uid, run.us(), "code", "etl.load", '{"python": "3.12"}', code))
    if ends:
        run.end()


def test_what_a_run_ran_as_is_read_back_and_long_texts_are_stored_once(home: Path) -> None:
    with recording(home) as session:
        for _ in range(3):
            ran_as(session, Recorded(session.emit))
            assert session.flush()
        ran_as(session, Recorded(session.emit))  # twice in one batch
        ran_as(session, Recorded(session.emit))
    assert one(home, "SELECT count(*) FROM texts") == 3
    with Reader.open(home) as reader:
        for run_id in range(1, 6):
            assert reader.provenance(run_id) == ProvenanceRecord(
                PROCESS, {"numpy": "2.0", "pandas": "2.2"}, "ab",
                {"commit": "c0ffee", "dirty": True}, "-a = 1\n+a = 2\n",
            )  # fmt: skip
            assert reader.code(run_id) == {
                "etl.load": (
                    CodeRecord(
                        "etl.load",
                        "3.12",
                        {
                            "etl.load": ProvenancePart("etl.load", "0a", LOAD, "etl.py:3"),
                            "etl.N": ProvenancePart("etl.N", "1b"),
                        },
                    ),
                )
            }
        assert not reader.provenance(77)


def test_what_is_said_again_replaces_what_was_said_before(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit)
        ran_as(session, run, ends=False)
        assert session.flush()
        session.emit(ev.provenance(run.uid, run.us(), "git", "", '{"commit": "beef"}'))
        run.end()
    with Reader.open(home) as reader:
        assert reader.provenance(1).git == {"commit": "beef"}
        assert reader.provenance(1).diff is None


def test_texts_are_freed_with_the_last_run_that_has_them(home: Path) -> None:
    other = packed(json.dumps({"parts": []}))
    with recording(home) as session:
        ran_as(session, Recorded(session.emit))
        ran_as(session, Recorded(session.emit), other)
        assert session.flush()
        delete_runs(home, [2])  # while a process records
        assert one(home, "SELECT count(*) FROM texts") == 3
        delete_runs(home, [1])
        assert rows(home, "SELECT * FROM texts UNION ALL SELECT run_id, 0 FROM provenance") == []
        ran_as(session, Recorded(session.emit))  # who recorded a text before sends it again
    with Reader.open(home) as reader:
        assert reader.provenance(3).packages == {"numpy": "2.0", "pandas": "2.2"}


def test_an_archive_carries_it_and_a_redacted_one_without_values(
    home: Path, tmp_path: Path
) -> None:
    with recording(home) as session:
        ran_as(session, Recorded(session.emit))
        secret = json.dumps({"parts": [["etl.f", "1", 'password = "hunter2"', None]]})
        session.emit(
            ev.provenance(run_uid(home, session), 1, "code", "etl.f", "{}", packed(secret))
        )
    export_run(home, 1, tmp_path / "whole")
    import_run(tmp_path / "other", tmp_path / "whole")
    with Reader.open(home) as reader, Reader.open(tmp_path / "other") as other:
        assert other.provenance(1) == reader.provenance(1)
        assert other.code(1) == reader.code(1)
    export_run(home, 1, tmp_path / "redacted", redacted=True)
    import_run(tmp_path / "third", tmp_path / "redacted")
    with Reader.open(tmp_path / "third") as third:
        found = third.provenance(1)
        assert found.process["env"] == {"TZ": "<hidden>"}
        assert "argv" not in found.process
        assert (found.diff, found.packages["numpy"]) == (None, "2.0")
        source = third.code(1)["etl.f"][0].parts["etl.f"].source
    assert source is not None
    assert "hunter2" not in source
    assert b"hunter2" not in zlib_texts(tmp_path / "third")


def run_uid(home: Path, session: Any) -> str:
    assert session.flush()
    return str(one(home, "SELECT uid FROM flow_runs"))


def zlib_texts(home: Path) -> bytes:
    return b"".join(zlib.decompress(row[0]) for row in rows(home, "SELECT data FROM texts"))


def put(conn: sqlite3.Connection, data: bytes) -> None:
    """Put a text with the right hash in the place of the code's."""
    digest = blake2b(data, digest_size=16).digest()
    conn.execute("INSERT INTO texts VALUES(?, ?)", (digest, data))
    conn.execute("UPDATE provenance SET text = ? WHERE topic = 'code'", (digest,))


HOSTILE: dict[str, tuple[Callable[[sqlite3.Connection], Any], str]] = {
    "a text that is another": (lambda c: c.execute("UPDATE texts SET data = X'00'"), "its hash"),
    "no zlib": (lambda c: put(c, b"no zlib"), "unpacked"),
    "a bomb": (lambda c: put(c, zlib.compress(bytes(MOST + 1))), "too large"),
    "half a text": (lambda c: put(c, zlib.compress(b"a" * 1000)[:-6]), "cut off"),
    "no such text": (
        lambda c: c.execute("UPDATE provenance SET text = X'0102' WHERE topic = 'code'"),
        "refers to things",
    ),
    "no object": (lambda c: c.execute("UPDATE provenance SET data = '[]'"), "no JSON object"),
    "deep": (lambda c: c.execute("UPDATE provenance SET data = ?", ("[" * 5000,)), "nested"),
    "a time": (lambda c: c.execute("UPDATE provenance SET us = -1"), "time"),
    "columns": (lambda c: c.executescript("ALTER TABLE provenance DROP COLUMN us"), "columns"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused(home: Path, tmp_path: Path, kind: str) -> None:
    with recording(home) as session:
        ran_as(session, Recorded(session.emit))
    export_run(home, 1, tmp_path / "run")
    break_it, said = HOSTILE[kind]
    with closing(sqlite3.connect(tmp_path / "run")) as conn, conn:
        break_it(conn)
    with pytest.raises(StoreCorrupt, match=said):
        import_run(tmp_path / "other", tmp_path / "run")


def test_names_in_an_archive_are_cleaned(home: Path, tmp_path: Path) -> None:
    with recording(home) as session:
        ran_as(session, Recorded(session.emit))
    export_run(home, 1, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run")) as conn, conn:
        conn.execute("UPDATE provenance SET name = 'a' || char(27) || 'b' WHERE topic = 'code'")
    import_run(tmp_path / "other", tmp_path / "run")
    with Reader.open(tmp_path / "other") as reader:
        assert "\x1b" not in "".join(reader.code(1))


@pytest.mark.parametrize(
    "text", [packed("no json"), packed("[]"), packed('{"parts": [1, [2], [null, "a", "b", null]]}')]
)
def test_code_that_is_not_what_it_should_be_is_nothing(home: Path, text: bytes) -> None:
    with recording(home) as session:
        ran_as(session, Recorded(session.emit), text)
    with Reader.open(home) as reader:
        assert all(not code.parts for code in sum(reader.code(1).values(), ()))


def test_a_store_of_an_earlier_schema_has_none_and_its_archive_neither(
    home: Path, tmp_path: Path
) -> None:
    old_store(home)
    with Reader.open(home) as reader:
        assert not reader.provenance(1)
        assert reader.code(1) == {}
    export_run(home, 1, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run")) as conn, conn:
        conn.executescript("DROP TABLE provenance; DROP TABLE texts; PRAGMA user_version = 3")
    import_run(tmp_path / "other", tmp_path / "run")
    with Reader.open(tmp_path / "other") as reader:
        assert not reader.provenance(1)


def test_a_writer_of_the_version_before_goes_on_in_a_store_that_was_brought_up(home: Path) -> None:
    """Its statement names fewer columns of the view."""
    from flowdeck_store.file.connection import connect_rw
    from flowdeck_store.file.tables.ingest_ddl import INGEST_COLUMNS

    with recording(home) as session:
        ran_as(session, Recorded(session.emit))
    before = [name for name in INGEST_COLUMNS if name not in {"texts", "provenance"}]
    values = [None if name not in {"n", "us"} else 0 for name in before]
    with closing(connect_rw(StorePaths(home))) as conn:
        conn.execute(
            f"INSERT INTO ingest({','.join(before)}) VALUES({','.join('?' * len(before))})", values
        )
    assert one(home, "SELECT count(*) FROM provenance") == 4


def test_packing_and_unpacking() -> None:
    for text in ("", "é\udc80\n", "a" * 100_000):
        assert unpacked(packed(text)) == text.encode("utf-8", "backslashreplace").decode()
    with pytest.raises(ValueError, match="unpacked"):
        unpacked(b"no zlib")
