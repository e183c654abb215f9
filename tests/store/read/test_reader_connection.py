"""A reader's file: absent, appearing, replaced, deleted, foreign, damaged, too new; interrupting."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import ReadInterrupted, StoreCorrupt, StoreError, StoreTooNew
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.schema import APPLICATION_ID
from flowdeck_store.read.feed import Cursor, Feed
from flowdeck_store.read.reader import Reader
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path


def remove(paths: StorePaths) -> None:
    for suffix in ("", "-wal", "-shm"):
        paths.db.with_name(paths.db.name + suffix).unlink(missing_ok=True)


def test_an_absent_store_reads_as_empty_everywhere(tmp_path: Path) -> None:
    with Reader.open(tmp_path / "nowhere") as reader:
        assert not reader.exists
        assert reader.data_version() == 0
        assert reader.runs() == reader.tasks(1) == reader.logs(1) == reader.flows() == []
        assert reader.run(1) is None
        assert reader.task(1, 1) is None
        assert reader.count_runs() == reader.count_tasks(1) == reader.count_logs(1) == 0
        assert reader.tasks_window(1).total == 0
        assert reader.logs_window(1).rows == []
        assert reader.runs_window().rows == []
        assert reader.totals().runs == reader.totals().logs == 0
        assert reader.graph(1).groups == ()
        assert reader.run_summary().total == 0
        assert not reader.store_info().exists
        assert reader.store_info().bytes == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_store_is_picked_up_once_it_appears(tmp_path: Path) -> None:
    with Reader.open(tmp_path) as reader:
        assert reader.runs() == []
        with closing(StoreBuilder(tmp_path)) as builder:
            builder.run("first")
            assert [run.name for run in reader.runs()] == ["first"]


def test_an_empty_file_is_no_store_yet(tmp_path: Path) -> None:
    StorePaths(tmp_path).db.touch()
    with Reader.open(tmp_path) as reader:
        assert not reader.exists
        assert reader.runs() == []


def test_a_replaced_store_is_read_anew(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as old:
        old.run("old")
        with Reader.open(tmp_path) as reader:
            assert reader.runs()[0].name == "old"
            generation = reader.generation
            remove(StorePaths(tmp_path))
            assert reader.runs() == []
            with closing(StoreBuilder(tmp_path)) as new:
                new.run("new")
                assert [run.name for run in reader.runs()] == ["new"]
                assert reader.generation > generation


def test_the_feed_notices_that_the_store_appears_vanishes_and_is_replaced(tmp_path: Path) -> None:
    with Feed(tmp_path) as feed:
        assert feed.poll()
        assert not feed.poll()
        assert feed.start() == Cursor()
        with closing(StoreBuilder(tmp_path)) as old:
            run = old.run()
            old.state(run, 0)
            assert feed.poll()
            changes = feed.changes(Cursor())
            assert [state.run_id for state in changes.states] == [run]
            assert not changes.reset
            assert not feed.poll()
            remove(StorePaths(tmp_path))
        assert feed.poll()
        gone = feed.changes(changes.cursor)
        assert gone.reset
        assert gone.cursor == Cursor()
        with closing(StoreBuilder(tmp_path)) as new:
            new.state(new.run(), 0)
            assert feed.poll()
            assert feed.changes(changes.cursor).reset
            assert not feed.changes(gone.cursor).reset


def test_a_file_that_is_no_database_is_refused_with_its_path(tmp_path: Path) -> None:
    StorePaths(tmp_path).db.write_bytes(b"this is not a database, but long enough to be read" * 50)
    with pytest.raises(StoreCorrupt, match="is not a readable flowdeck store") as caught:
        Reader.open(tmp_path)
    assert str(StorePaths(tmp_path).db) in str(caught.value)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(StorePaths(tmp_path).db)) as db:
        db.execute("CREATE TABLE theirs(x)")
        db.commit()
    with pytest.raises(StoreCorrupt, match="another program"):
        Reader.open(tmp_path)


def test_a_newer_store_is_refused_and_says_who_wrote_it(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder:
        builder.db.execute("PRAGMA user_version = 99")
        builder.db.execute("UPDATE meta SET value = 99 WHERE key = 'min_reader'")
        builder.db.execute("UPDATE meta SET value = 'flowdeck 9.1' WHERE key = 'written_by'")
        with pytest.raises(StoreTooNew, match=r"schema v99.*written by flowdeck 9.1.*upgrade"):
            Reader.open(tmp_path)


def test_a_newer_store_that_says_it_can_be_read_is_read(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder:
        builder.run("still readable")
        builder.db.execute("PRAGMA user_version = 99")
        with Reader.open(tmp_path) as reader:
            assert reader.runs()[0].name == "still readable"


def test_a_store_that_turns_foreign_while_open_is_refused(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        builder.run()
        assert reader.runs()
        remove(StorePaths(tmp_path))
        with closing(sqlite3.connect(StorePaths(tmp_path).db)) as db:
            db.execute("CREATE TABLE theirs(x)")
            db.commit()
        with pytest.raises(StoreCorrupt):
            reader.runs()


def test_a_store_without_its_tables_is_corrupt(tmp_path: Path) -> None:
    with closing(sqlite3.connect(StorePaths(tmp_path).db)) as db:
        db.execute("CREATE TABLE meta(key, value)")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        db.commit()
    with Reader.open(tmp_path) as reader, pytest.raises(StoreCorrupt, match="no such table"):
        reader.runs()


def test_a_damaged_page_is_corrupt_when_it_is_read(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder:
        run = builder.run()
        for no in range(1, 500):
            builder.task(run, no)
        builder.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = builder.db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'task_runs'"
        ).fetchall()
    with open(StorePaths(tmp_path).db, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with Reader.open(tmp_path) as reader:
        assert reader.run(run) is not None
        with pytest.raises(StoreCorrupt):
            reader.tasks(run)


def test_text_that_is_not_utf8_is_shown_with_replacement_marks(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        run = builder.run("fine")
        bad = builder.run("x")
        builder.db.execute(
            "UPDATE flow_runs SET name = CAST(x'61ff62' AS TEXT) WHERE id = ?", (bad,)
        )
        assert [run.name for run in reader.runs()] == ["a�b", "fine"]
        assert reader.run(run) is not None


class Broken:
    """A connection whose write-ahead log is gone, or that fails for ever."""

    def execute(self, sql: str, parameters: object) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHORT_READ
        raise error

    def close(self) -> None:
        pass


def test_a_reader_whose_log_file_was_taken_away_opens_the_store_anew(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        builder.run()
        assert reader._connection is not None
        reader._connection.close()
        reader._connection = Broken()  # type: ignore[assignment]
        assert len(reader.runs()) == 1


def test_an_error_that_stays_is_told_with_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(StoreBuilder(tmp_path)):
        monkeypatch.setattr("flowdeck_store.read.base.connect_ro", lambda paths, timeout: Broken())
        with Reader.open(tmp_path) as reader, pytest.raises(StoreError, match="disk I/O") as caught:
            reader.runs()
        assert str(StorePaths(tmp_path).db) in str(caught.value)
        assert not isinstance(caught.value, StoreCorrupt)


def test_a_reader_cannot_write_and_does_not_block_a_writer(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        with pytest.raises(StoreError, match="cannot be read"):
            reader._rows("DELETE FROM flow_runs")
        builder.db.execute("BEGIN IMMEDIATE")
        assert reader.runs() == []
        builder.run("behind the lock")
        assert reader.runs() == []
        builder.db.execute("COMMIT")
        assert len(reader.runs()) == 1


def test_a_closed_reader_says_so(tmp_path: Path) -> None:
    reader = Reader.open(tmp_path)
    reader.close()
    reader.close()
    with pytest.raises(StoreError, match="is closed"):
        reader.runs()
    reader.interrupt()


def test_a_long_read_can_be_interrupted_from_another_thread(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        builder.run()
        assert reader.exists
        endless = (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        )
        ended = threading.Event()

        def interrupt_until_it_ends() -> None:
            while not ended.wait(0.01):
                reader.interrupt()

        thread = threading.Thread(target=interrupt_until_it_ends)
        thread.start()
        try:
            with pytest.raises(ReadInterrupted):
                reader._rows(endless)
        finally:
            ended.set()
            thread.join()
        assert len(reader.runs()) == 1


def test_a_reader_does_not_pin_the_write_ahead_log(tmp_path: Path) -> None:
    with closing(StoreBuilder(tmp_path)) as builder, Reader.open(tmp_path) as reader:
        run = builder.run()
        builder.log(run)
        reader.logs(run)
        reader.runs()
        ((busy, *_),) = builder.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert busy == 0
