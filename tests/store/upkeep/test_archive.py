"""A run as a file and back: all of it, under new numbers, and nothing that could do harm."""

from __future__ import annotations

import json
import pickle
import sqlite3
import stat
import zlib
from contextlib import closing
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store import failures
from flowdeck_store.archive import check as archive_check
from flowdeck_store.archive.export import Imported, export_run, import_run
from flowdeck_store.archive.intake import AlreadyRecorded
from flowdeck_store.errors import LiveRun, NotFound, StoreCorrupt, StoreError, StoreTooNew
from flowdeck_store.events import now_us
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read import dump
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import FAILED, RUNNING
from store_builder import T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def builder(tmp_path: Path) -> Iterator[StoreBuilder]:
    found = StoreBuilder(tmp_path / "here")
    found.db.execute("UPDATE sessions SET ended_us = ?", (T0,))
    yield found
    found.close()


@pytest.fixture
def there(tmp_path: Path) -> Iterator[StoreBuilder]:
    """Another store, whose numbers, flows and loggers differ."""
    found = StoreBuilder(tmp_path / "there")
    found.db.execute("UPDATE sessions SET ended_us = ?, uid = 'other'", (T0,))
    for number in range(5):
        run = found.run(f"local-{number}", flow="local", uid=f"{number + 1:a>32}")
        found.task(run, 1, task="mine")
        found.log(run, 1, "local line", logger="local.logger")
    yield found
    found.close()


def genuine_failure(builder: StoreBuilder, run: int, no: int) -> None:
    """A failure whose traceback is stored under its real hash, as the writer does."""
    builder.failure(run, no, line=run * 100 + no)
    ((key, data),) = builder.db.execute(
        "SELECT hash, data FROM tracebacks WHERE hash = ?", ((run * 100 + no).to_bytes(16, "big"),)
    ).fetchall()
    digest = blake2b(b"ValueError\0" + zlib.decompress(data), digest_size=16).digest()
    builder.db.execute("INSERT OR IGNORE INTO tracebacks VALUES(?, ?)", (digest, data))
    builder.db.execute("UPDATE failures SET tb = ? WHERE tb = ?", (digest, key))
    builder.db.execute("DELETE FROM tracebacks WHERE hash = ?", (key,))


@pytest.fixture
def family(builder: StoreBuilder) -> int:
    """A failed run with a subflow run, one of everything, and runs around it."""
    builder.run("before")
    run = builder.run(
        "brave-otter", state=FAILED, state_msg="[/b] boom", tags=["prod"], params='{"x": 1}',
        info='{"cwd": "/w"}', runner="dask", attempt=2,
    )  # fmt: skip
    builder.run("between")
    child = builder.run("child", flow="sub", parent_task=run << 24 | 3)
    for no in (1, 2):
        builder.task(run, no, worker=f"w-{no}", cache_key="k")
        builder.state(run, no, data={"params": {"x": "1"}})
        builder.log(run, no, f"line {no} \x1b[31m", level=30 + no)
        builder.edge(run, no, no - 1)
    builder.task(run, 3, task="stand-in", child_run=child, state_name="Cached")
    builder.task(child, 1, task="load")
    builder.log(child, 0, "in the child", level=30)
    builder.state(run, 0, FAILED, msg="boom")
    builder.edge(child, 1, 1)
    builder._insert("task_inputs", task=child << 24 | 1, upstream=run << 24 | 2, param="y")
    builder._insert("task_inputs", task=child << 24 | 1, upstream=1 << 24 | 1, param="elsewhere")
    genuine_failure(builder, run, 2)
    builder.result(run, 1, location="value-1", preview="[1, 2]")
    builder._insert("artifacts", task=run << 24 | 1, us=T0, kind="table", key="t", data="[[1]]")
    return run


def everything(home: Path, run_id: int, base: int) -> dict[str, Any]:
    """All that a reader says about a run, with numbers counted from ``base``."""
    with Reader.open(home) as reader:
        run = reader.run(run_id)
        assert run is not None
        found: dict[str, Any] = {
            part: "".join(dump.dump(reader, run_id, "jsonl", part))
            for part in ("run", "tasks", "states", "logs")
        }
        found["record"] = (
            run.counts,
            run.n_logs,
            run.n_warnings,
            run.n_errors,
            run.info,
            run.source,
        )
        found["failures"] = [(f.exc_msg, f.tb_hash, f.exception) for f in reader.failures(run_id)]
        found["edges"] = [
            (edge.upstream - (base << 24), edge.param)
            for task in reader.tasks(run_id)
            for edge in reader.inputs(run_id, task.no)
        ]
        found["artifacts"] = [(a.task_no, a.kind, a.data) for a in reader.artifacts(run_id)]
        found["children"] = [
            (c.name, (c.parent_task or 0) - (base << 24)) for c in reader.children(run_id)
        ]
        found["results"] = [(r.type, r.preview) for r in reader.results(run_id)]
        tasks = reader.tasks(run_id)
        found["child_runs"] = [task.child_run is not None for task in tasks]
    return found


def renumbered(text: Any, old: int, new: int) -> Any:
    """Replace a run's number in JSON lines."""
    if not isinstance(text, str):
        return text
    for before, after in (
        (f'"id": {old},', f'"id": {new},'),
        (f'"flow_run": {old}', f'"flow_run": {new}'),
        (f'"{old}.', f'"{new}.'),
    ):
        text = text.replace(before, after)
    return text


def test_a_run_comes_back_whole_under_new_numbers(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "otter.flowdeck"
    exported = export_run(builder.paths.home, family, path, written_by="flowdeck 1.2")
    assert exported.size == path.stat().st_size
    imported = import_run(there.paths.home, path)
    assert imported == Imported((6, 7), 6)
    before = everything(builder.paths.home, family, family)
    after = everything(there.paths.home, 6, 6)
    assert after == {key: renumbered(value, family, 6) for key, value in before.items()}
    with Reader.open(there.paths.home) as reader:
        (child,) = reader.children(6)
        assert (child.name, child.flow, child.n_logs, child.n_warnings) == ("child", "sub", 1, 1)
        stand_in = reader.task(6, 3)
        assert stand_in is not None
        assert stand_in.child_run == child.id == 7
        assert [edge.ref for edge in reader.inputs(7, 1)] == ["6.2", "7.1"]
        assert [line.message for line in reader.logs(7)] == ["in the child"]
        assert [run.name for run in reader.runs("flow:local")] == [
            f"local-{n}" for n in (4, 3, 2, 1, 0)
        ]
        assert reader.resolve_run("brave-otter").id == 6


def test_an_archive_is_private_a_readable_store_and_holds_no_values(
    builder: StoreBuilder, family: int, tmp_path: Path
) -> None:
    home = tmp_path / "viewer"
    home.mkdir()
    builder.paths.results.mkdir()
    (builder.paths.results / "value-1").write_bytes(pickle.dumps("secret value"))
    builder._insert("cache", key="key", task=family << 24 | 1, us=T0, location="value-1")
    path = StorePaths(home).db
    export_run(builder.paths.home, family, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(file.name for file in home.iterdir()) == [path.name]
    assert b"secret value" not in path.read_bytes()
    with Reader.open(home) as reader:
        assert [run.name for run in reader.runs()] == ["child", "brave-otter"]
        result = reader.result(family, 1)
        assert result is not None
        assert (result.preview, result.location) == ("[1, 2]", None)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM cache").fetchone() == (0,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_redacted_archive_says_what_happened_without_any_value(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    _, variables = failures.split(
        {"type": "E", "message": "at postgres://u:Zq9@h", "notes": [], "frames": [
            {"file": "f.py", "locals": [{"name": "x", "type": "int", "repr": "Zq9"}]}]}
    )  # fmt: skip
    with closing(sqlite3.connect(builder.paths.db)) as db:
        db.execute("UPDATE flow_runs SET params = ?", ('{"n": "Zq9", "m": ["Zq9"]}',))
        db.execute(
            "UPDATE flow_runs SET info = ?", ('{"argv": ["x", "-p", "n=Zq9"], "cwd": "/w"}',)
        )
        db.execute("UPDATE results SET preview = 'Zq9'")
        db.execute("UPDATE states SET data = ?", ('{"params": {"a": "Zq9"}, "child": "c"}',))
        db.execute("UPDATE failures SET locals = ?, exc_msg = 'token=Zq9'", (variables,))
        db.execute("UPDATE logs SET msg = 'old line with password=Zq9'")
        db.execute(
            "INSERT INTO artifacts(task, us, kind, key, data) VALUES(?, 1, 'markdown', 'k', 'Zq9')",
            (family << 24 | 1,),
        )
        assert db.execute("SELECT count(*) FROM failures").fetchone() != (0,)
        db.commit()
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path, redacted=True)
    assert b"Zq9" not in path.read_bytes()
    imported = import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        run = reader.run(imported.root)
        assert run is not None
        assert json.loads(run.params or "") == {"n": "<hidden>", "m": "<hidden>"}
        assert run.info["cwd"] == "/w"
        assert {line.message for line in reader.logs(run.id)} == {"old line with password=<hidden>"}
        assert len(reader.tasks(run.id)) > 1


def test_importing_unpickles_nothing_and_keeps_no_locations(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE results SET location = 'local-secret'")
        db.commit()
    imported = import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        assert all(result.location is None for result in reader.results(imported.root))


def test_the_same_run_cannot_come_in_twice(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    with pytest.raises(AlreadyRecorded, match=r"has that run already: 2 \(brave-otter\)"):
        import_run(builder.paths.home, path)
    import_run(there.paths.home, path)
    with pytest.raises(AlreadyRecorded):
        import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        assert reader.count_runs() == 7


def test_a_subflow_run_can_be_exported_alone(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "child"
    export_run(builder.paths.home, family + 2, path)
    imported = import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        run = reader.run(imported.root)
        assert run is not None
        assert (run.name, run.parent_task, len(imported.run_ids)) == ("child", None, 1)
        assert [edge.ref for edge in reader.inputs(run.id, 1)] == [f"{run.id}.1"]


def test_an_import_creates_the_store_if_there_is_none(
    builder: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    assert import_run(tmp_path / "fresh", path).root == 1


def test_what_cannot_be_exported(builder: StoreBuilder, family: int, tmp_path: Path) -> None:
    home = builder.paths.home
    path = tmp_path / "a"
    with pytest.raises(NotFound, match="no run 99"):
        export_run(home, 99, path)
    with pytest.raises(NotFound, match="no store"):
        export_run(tmp_path / "nowhere", 1, path)
    path.write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        export_run(home, family, path)
    assert path.read_text() == "mine"
    with pytest.raises(StoreError, match="There is no folder"):
        export_run(home, family, tmp_path / "no folder" / "a")
    builder.run("live-child", state=RUNNING, parent_task=family << 24 | 9)
    # Its process beats, on another machine: nobody may end it here.
    builder.db.execute("UPDATE sessions SET ended_us = NULL, host = 'x', beat_us = ?", (now_us(),))
    with pytest.raises(LiveRun, match=r"\(live-child\) has not ended"):
        export_run(home, family, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert list(tmp_path.rglob("*.part-*")) == []


TAMPERED = {
    "another program": ("PRAGMA application_id = 7", "no flowdeck wrote it"),
    "whole store": ("DELETE FROM meta WHERE key = 'archive'", "it is a whole store"),
    "no run": ("DELETE FROM flow_runs", "a task run belongs to no run|no run in it|refers"),
    "live run": ("UPDATE flow_runs SET state = 2", "has not ended"),
    "endless run": ("UPDATE flow_runs SET ended_us = NULL", "has not ended"),
    "unknown state": ("UPDATE task_runs SET state = 99", "unknown state"),
    "unknown history": ("UPDATE states SET state = -1", "a state is unknown"),
    "foreign task": ("UPDATE task_runs SET id = 77 << 24 | 1 WHERE name = 'fetch-1'", "no run"),
    "task zero": ("UPDATE task_runs SET id = id - 1 WHERE id & 16777215 = 1", "no run"),
    "impossible time": (f"UPDATE logs SET us = {2**62}", "a time in logs is impossible"),
    "before all time": ("UPDATE flow_runs SET started_us = -1", "a time in flow_runs"),
    "odd uid": ("UPDATE flow_runs SET uid = 'x/../y' WHERE name = 'child'", "32 hexadecimal"),
    "own grandmother": ("UPDATE flow_runs SET parent_task = id << 24 | 1", "is older than the run"),
    "log of nobody": ("UPDATE logs SET src = 77", "a log line belongs to nothing"),
    "missing flow": ("UPDATE flow_runs SET flow_id = 77", "refers to things"),
    "forged traceback": ("UPDATE tracebacks SET data = zeroblob(9)", "not what its hash says"),
    "forged hash": ("UPDATE failures SET exc_type = 'Other'", "not what its hash says"),
    "loose traceback": ("INSERT INTO tracebacks VALUES(zeroblob(16), zeroblob(9))", "its hash"),
    "no table": ("DROP TABLE failures", "table failures is missing"),
    "no column": (
        "DROP INDEX ix_art_key; ALTER TABLE artifacts DROP COLUMN key",
        "artifacts lacks columns",
    ),
    "a view": (
        "ALTER TABLE artifacts RENAME TO hidden; CREATE VIEW artifacts AS SELECT * FROM hidden",
        "table artifacts is missing",
    ),
    "newer": ("PRAGMA user_version = 99", "schema v99"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_archive_is_refused_and_the_store_stays_as_it_was(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    sql, message = TAMPERED[how]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    before = there.db.execute("SELECT count(*) FROM flow_runs").fetchone()
    with pytest.raises((StoreCorrupt, StoreTooNew), match=message) as caught:
        import_run(there.paths.home, path)
    assert str(path) in str(caught.value)
    assert there.db.execute("SELECT count(*) FROM flow_runs").fetchone() == before
    assert there.db.execute("SELECT count(*) FROM flows").fetchone() == (1,)


def test_a_traceback_that_unpacks_to_gigabytes_is_refused(
    builder: StoreBuilder,
    there: StoreBuilder,
    family: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive_check, "_MAX_STRUCTURE", 1000)
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    bomb = b"x" * 100_000
    digest = blake2b(b"ValueError\0" + bomb, digest_size=16).digest()
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO tracebacks VALUES(?, ?)", (digest, zlib.compress(bomb)))
        db.execute("UPDATE failures SET tb = ?", (digest,))
        db.execute("DELETE FROM tracebacks WHERE hash <> ?", (digest,))
        db.commit()
    with pytest.raises(StoreCorrupt, match="not what its hash says"):
        import_run(there.paths.home, path)


@pytest.mark.parametrize("content", [b"", b"plain text " * 1000])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="is not an archive that can be imported"):
        import_run(tmp_path / "home", path)
    with pytest.raises(StoreError, match="There is no file"):
        import_run(tmp_path / "home", tmp_path / "missing")
    with pytest.raises(StoreError, match="There is no file"):
        import_run(tmp_path / "home", tmp_path)


def test_the_store_itself_is_no_archive(builder: StoreBuilder) -> None:
    with pytest.raises(StoreCorrupt):
        import_run(builder.paths.home, builder.paths.db)


def test_an_archive_with_wrong_counters_is_counted_anew(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE flow_runs SET n_failed = 1000, n_logs = 77, log_lo = 1, log_hi = 9999")
        db.commit()
    imported = import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        run = reader.run(imported.root)
        assert run is not None
        assert (run.n_tasks, run.n_logs) == (3, 2)
        assert reader.count_tasks(run.id) == len(reader.tasks(run.id))
        assert [line.task_no for line in reader.logs(run.id)] == [1, 2]


def test_equal_failures_share_a_traceback_after_an_import(
    builder: StoreBuilder, there: StoreBuilder, family: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    export_run(builder.paths.home, family, path)
    imported = import_run(there.paths.home, path)
    with Reader.open(there.paths.home) as reader:
        (failure,) = reader.failures(imported.root)
        assert failure.tb_hash is not None
        assert reader.same_failures(failure.tb_hash, imported.root).tasks_here == 1
        assert failure.exception is not None
        assert failures.join(*failures.split(failure.exception)) == failure.exception
