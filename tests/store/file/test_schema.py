"""The schema: created once, in one transaction, by whoever comes first."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreError, StoreTooNew, StoreUnwritable
from flowdeck_store.file import connection, schema
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.write_lock import write_lock_of
from store_writing import STORE, finish, start

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def paths(home: Path) -> StorePaths:
    paths = StorePaths(home)
    connection.make_home(paths)
    return paths


def create(paths: StorePaths) -> None:
    connection.connect_rw(paths, written_by="test").close()


def test_a_new_store_is_private_and_knows_its_version(paths: StorePaths) -> None:
    with closing(connection.connect_rw(paths, written_by="test 1")) as conn:
        assert conn.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)
        assert conn.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        assert conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert conn.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert conn.execute("PRAGMA foreign_keys").fetchone() == (1,)
        meta = dict(conn.execute("SELECT key,value FROM meta").fetchall())
        for file in paths.home.glob("flowdeck.db*"):
            assert file.stat().st_mode & 0o777 == 0o600, file
    assert meta["written_by"] == "test 1"
    assert len(meta["db_uid"]) == 32
    for folder in (paths.home, paths.journal, paths.locks):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_opening_again_changes_nothing(paths: StorePaths) -> None:
    create(paths)
    with closing(sqlite3.connect(paths.db)) as conn:
        before = conn.execute("SELECT * FROM meta").fetchall()
    create(paths)
    with closing(sqlite3.connect(paths.db)) as conn:
        assert conn.execute("SELECT * FROM meta").fetchall() == before


def test_many_processes_may_create_the_same_store_at_once(paths: StorePaths) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from flowdeck_store.file import connection; from flowdeck_store.file.paths import StorePaths\n"
        "paths = StorePaths(Path(sys.argv[1])); sys.stdin.readline()\n"
        "connection.connect_rw(paths, timeout=30).close(); print('ok')"
    )
    processes = [start(code, paths.home) for _ in range(6)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [finish(process).strip() for process in processes] == ["ok"] * 6
    with closing(sqlite3.connect(paths.db)) as conn:
        assert conn.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (
            schema.SCHEMA_VERSION,
        )


def test_a_failing_migration_leaves_the_file_as_it_was(
    paths: StorePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "INGEST_TRIGGER", "CREATE TRIGGER broken;")
    with pytest.raises(sqlite3.OperationalError):
        create(paths)
    with closing(sqlite3.connect(paths.db)) as conn:
        assert conn.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        assert conn.execute("PRAGMA user_version").fetchone() == (0,)
    monkeypatch.undo()
    create(paths)


def test_a_newer_store_is_refused_with_both_versions_and_its_writer(paths: StorePaths) -> None:
    create(paths)
    with closing(sqlite3.connect(paths.db)) as conn, conn:
        conn.execute("PRAGMA user_version=7")
        conn.execute("UPDATE meta SET value='flowdeck 9.9' WHERE key='written_by'")
        conn.execute("UPDATE meta SET value=7 WHERE key='min_reader'")
    for connect in (connection.connect_rw, connection.connect_ro):
        with pytest.raises(
            StoreTooNew, match=rf"schema v7.*understands v{schema.SCHEMA_VERSION}.*flowdeck 9\.9"
        ):
            connect(paths)


def test_a_newer_store_that_allows_old_readers_can_be_read_only(paths: StorePaths) -> None:
    create(paths)
    with closing(sqlite3.connect(paths.db)) as conn:
        conn.execute("PRAGMA user_version=7")
    reader = connection.connect_ro(paths)
    assert reader is not None
    reader.close()
    with pytest.raises(StoreTooNew):
        connection.connect_rw(paths)


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough" * 40, b"SQLite form"]
)
def test_a_file_that_is_no_database_is_refused_and_kept(paths: StorePaths, content: bytes) -> None:
    paths.db.write_bytes(content)
    for connect in (connection.connect_rw, connection.connect_ro):
        with pytest.raises(StoreCorrupt, match=str(paths.db)):
            connect(paths)
    assert paths.db.read_bytes() == content


def test_a_database_of_another_program_is_refused(paths: StorePaths) -> None:
    with closing(sqlite3.connect(paths.db)) as conn, conn:
        conn.execute("CREATE TABLE bookmarks(url)")
    with pytest.raises(StoreCorrupt, match="another program"):
        connection.connect_rw(paths)


def test_no_store_and_an_empty_file_read_as_nothing(paths: StorePaths) -> None:
    assert connection.connect_ro(paths) is None
    paths.db.touch()
    assert connection.connect_ro(paths) is None


def test_a_reader_cannot_write(paths: StorePaths) -> None:
    create(paths)
    reader = connection.connect_ro(paths)
    assert reader is not None
    with closing(reader), pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM meta")


def test_a_home_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable, match="FLOWDECK_HOME"):
        connection.make_home(StorePaths(tmp_path / "file" / "home"))


def test_creating_gives_up_when_the_gate_stays_shut(paths: StorePaths) -> None:
    with write_lock_of(paths.write_lock).hold(), pytest.raises(StoreBusy, match="held by"):
        connection.connect_rw(paths, timeout=0.05)


def test_an_old_sqlite_is_named(paths: StorePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"3\.37"):
        connection.connect_rw(paths)


def test_recording_into_an_existing_store_never_imports_sqlite_utils(paths: StorePaths) -> None:
    create(paths)
    code = (
        "import sys; from pathlib import Path; from flowdeck_store.session import RecordingSession\n"
        "RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print).close()\n"
        "assert 'sqlite_utils' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(paths.home)], env={"PYTHONPATH": str(STORE)}, check=False
    )
    assert done.returncode == 0
