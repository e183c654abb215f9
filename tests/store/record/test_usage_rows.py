"""What runs used: recorded, added up, thinned out, in archives, gone with the run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from test_flow_names import old_store

from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.query.values import size_bytes
from flowdeck_store.read import json_shape
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, RUNNING
from flowdeck_store.upkeep import retention
from flowdeck_store.usage import UsageRecord, sample_event, usage_event
from store_writing import Recorded, recording

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000


def used(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run("brave-otter")
        for no in (1, 2, 3):
            run.task(no).state(no, RUNNING)
        run.emit(usage_event(run.uid, 1, 2 * SECOND, 300, 100, None, 7))
        run.emit(usage_event(run.uid, 1, 3 * SECOND, 200, -5, 4, 1))
        run.emit(usage_event(run.uid, 2, 10, None, None, None, None))
        for second in range(6):
            us = second * SECOND
            kept = {"stored": 10 * second, "stored_count": second} if second else {}
            run.emit(
                sample_event(run.uid, us, "w", cpu=5.0 * second, memory=second, threads=2, **kept)
            )
        assert session.flush()
        run.emit(sample_event(run.uid, 6 * SECOND, "w", cpu=30.0, memory=6, width=2 * SECOND))
        run.emit(sample_event(run.uid, 1, "", cpu=1.5, memory=9))
        run.emit(usage_event(run.uid, 3, 2**70, None, None, None, None))
        for no in (1, 2, 3):
            run.state(no, COMPLETED)
        run.end(COMPLETED)


def test_attempts_are_added_up_and_the_most_memory_stays(home: Path) -> None:
    used(home)
    with Reader.open(home) as reader:
        first, second, third = reader.tasks(1)
        assert first.usage == UsageRecord(5 * SECOND, 300, -5, 4, 8)
        assert json_shape.task_run(first)["usage"]["cpu_seconds"] == 5.0
        assert second.usage == UsageRecord(10, None, None, None, None)
        assert third.usage is None  # no kernel says such a number
        assert json_shape.task_run(third)["usage"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [("cpu:>3s", [1]), ("cpu:<=10us", [2]), ("memory:>=300", [1]), ("memory:>1kB", [])],
)
def test_task_runs_are_found_by_what_they_used(home: Path, query: str, found: list[int]) -> None:
    used(home)
    with Reader.open(home) as reader:
        assert [task.no for task in reader.tasks(1, query)] == found


def test_a_wider_step_thins_out_what_came_before(home: Path) -> None:
    used(home)
    with Reader.open(home) as reader:
        samples = reader.samples(1)
    assert [(s.worker, s.us) for s in samples] == [
        ("", 1), *(("w", second * SECOND) for second in (0, 2, 4, 6))
    ]  # fmt: skip
    assert (samples[2].cpu, samples[2].memory, samples[2].threads) == (10.0, 2, 2)
    assert (samples[2].stored, samples[2].stored_count) == (20, 2)
    assert (samples[1].stored, samples[1].stored_count) == (None, None)


def test_samples_of_a_journal_that_knows_nothing_of_what_is_stored_are_taken(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit)
        run.run("brave-otter")
        run.emit(sample_event(run.uid, 1, "w", cpu=1.0, memory=7, gpu_memory=8)[:-2])
        run.end(COMPLETED)
    with Reader.open(home) as reader:
        (sample,) = reader.samples(1)
    assert (sample.memory, sample.gpu_memory, sample.stored) == (7, 8, None)


def test_it_goes_along_with_an_exported_run_and_is_deleted_with_it(
    home: Path, tmp_path: Path
) -> None:
    used(home)
    export_run(home, 1, tmp_path / "run.flowdeck")
    with Reader.open(home) as reader:
        before = [task.usage for task in reader.tasks(1)], reader.samples(1)
    retention.delete_runs(home, [1])
    with closing(sqlite3.connect(StorePaths(home).db)) as conn:
        for table in ("task_usage", "samples"):
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    import_run(tmp_path / "there", tmp_path / "run.flowdeck")
    with Reader.open(tmp_path / "there") as reader:
        assert ([task.usage for task in reader.tasks(1)], reader.samples(1)) == before


def test_a_store_of_an_earlier_schema_says_nothing_of_it(home: Path) -> None:
    old_store(home)
    with Reader.open(home) as reader:
        assert reader.samples(1) == []
        assert reader.tasks(1, "cpu:>1s") == []


def test_sizes_are_said_in_bytes_or_thousands_of_them() -> None:
    assert [size_bytes(text) for text in ("12", "1.5kB", "500MB", "2G")] == [
        12, 1_500, 500_000_000, 2_000_000_000,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no size such as 500MB"):
        size_bytes("much")
