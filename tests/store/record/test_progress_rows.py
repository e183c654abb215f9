"""The progress of runs: the last of it is kept, goes into archives, and is gone with the run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from test_flow_names import old_store

from flowdeck_store import events as ev
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read import json_shape
from flowdeck_store.read.reader import Reader
from flowdeck_store.read.records import ProgressRecord
from flowdeck_store.states import COMPLETED, RUNNING
from flowdeck_store.upkeep import retention
from store_writing import Recorded, recording

if TYPE_CHECKING:
    from pathlib import Path


def told(home: Path) -> str:
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run("brave-otter")
        run.task(1).state(1, RUNNING)
        run.task(2).state(2, RUNNING)
        for done in (1.0, 2.5):
            run.emit(ev.progress(run.uid, 1, run.us(), done, 10, "half" * 1_000))
            assert session.flush()
        run.emit(ev.progress(run.uid, 1, 5, 1.0, 10, "late"))  # came home last, was said first
        run.emit(ev.progress(run.uid, 0, run.us(), 7, None, None))
        run.state(1, COMPLETED).state(2, COMPLETED).end(COMPLETED)
        assert session.flush()
        return run.uid


def test_the_last_that_was_said_is_kept_bounded(home: Path) -> None:
    told(home)
    with Reader.open(home) as reader:
        first, second = reader.tasks(1)
        assert first.progress is not None
        assert second.progress is None
        assert (first.progress.done, first.progress.total) == (2.5, 10.0)
        assert len(first.progress.message or "") <= 1_000
        own = reader.progress(1)
        assert own is not None
        assert json_shape.progress(own)["done"] == 7
        assert json_shape.task_run(second)["progress"] is None


def test_an_archive_holds_it_without_words_if_redacted_and_deletion_takes_it(
    home: Path, tmp_path: Path
) -> None:
    told(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    export_run(home, 1, tmp_path / "redacted.flowdeck", redacted=True)
    retention.delete_runs(home, [1])
    with closing(sqlite3.connect(StorePaths(home).db)) as conn:
        assert conn.execute("SELECT count(*) FROM progress").fetchone() == (0,)
    for name in ("run", "redacted"):
        import_run(tmp_path / name, tmp_path / f"{name}.flowdeck")
        with Reader.open(tmp_path / name) as reader:
            found = reader.tasks(1)[0].progress
            assert found is not None
            assert found.share == 0.25
            assert (found.message is None) is (name == "redacted")


def test_a_store_of_an_earlier_schema_has_none(home: Path) -> None:
    old_store(home)
    with Reader.open(home) as reader:
        assert reader.progress(1) is None


def test_what_is_left_follows_from_the_pace_so_far() -> None:
    second = 1_000_000
    half = ProgressRecord(10 * second, 5, 10, None)
    assert half.seconds_left(0, 12 * second) == 8
    assert half.seconds_left(0, 30 * second) == 0
    assert half.seconds_left(None, 12 * second) is None
    for done, total in ((5, None), (0, 10), (5, 0), (-1, 10)):
        assert ProgressRecord(10, done, total, None).seconds_left(0, 12) is None
    assert ProgressRecord(1, 12, 10, None).share == 1
