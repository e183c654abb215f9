"""The read side on what a recording process really writes, also while it writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flowdeck_store import events as ev
from flowdeck_store import failures
from flowdeck_store.archive.export import export_run, import_run
from flowdeck_store.read.feed import Feed
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import (
    COMPLETED,
    FAILED,
    PENDING,
    RUNNING,
    SCHEDULED,
)
from flowdeck_store.upkeep import retention
from store_builder import captured
from store_writing import Recorded, finish, recording, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def fail(run: Recorded, no: int, message: str = "boom") -> None:
    structure, variables = failures.split(captured(message))
    run.emit(
        ev.failure(run.uid, no, run.us(), 1, "ValueError", message, structure, variables)
    )  # fmt: skip


def a_flow_with_everything(run: Recorded) -> None:
    run.run("brave-otter", params='{"pages": 2}', tags='["prod"]', info='{"cwd": "/w"}')
    run.task(1).state(1, RUNNING, worker="w-1", data='{"params": {"page": "1"}}')
    run.log("fetching", 1).log("slow", 1, level=30)
    run.state(1, SCHEDULED, "AwaitingRetry", "later").state(1, RUNNING, "Retrying", attempt=2)
    run.state(1, COMPLETED, attempt=2)
    run.emit(ev.result(run.uid, 1, run.us(), "list", 80, "[1, 2]", "value-1"))
    run.task(2, inputs=(("rows", None, 1),)).state(2, RUNNING).log("bad", 2, level=40)
    fail(run, 2)
    run.state(2, FAILED, msg="boom")
    run.task(3, inputs=(("rows", None, 2),)).state(3, PENDING, "NotReady", "no input")
    run.task(4).state(4, COMPLETED, "Cached")
    run.end(FAILED)


def test_a_reader_returns_what_was_emitted(home: Path) -> None:
    with recording(home) as session:
        a_flow_with_everything(Recorded(session.emit))
        assert session.flush()
        with Reader.open(home) as reader:
            run = reader.resolve_run("@last-failed")
            assert (run.name, run.state, run.is_final, run.tags) == (
                "brave-otter", "Failed", True, ("prod",),
            )  # fmt: skip
            assert (run.n_tasks, run.n_logs, run.n_warnings, run.n_errors) == (4, 3, 1, 1)
            assert reader.count_logs(run.id, min_level=30) == 2
            assert [task.state for task in reader.tasks(run.id)] == [
                "Completed", "Failed", "NotReady", "Cached",
            ]  # fmt: skip
            assert [task.no for task in reader.tasks(run.id, order="problems")] == [2, 1, 3, 4]
            assert reader.resolve_task("@last/load-2").no == 2
            assert [a.state for a in reader.attempts(run.id, 1)] == ["AwaitingRetry", "Completed"]
            assert reader.task_parameters(run.id, 1) == {"page": "1"}
            (first, second) = reader.timeline(run.id, [1, 3])
            assert [s.kind for s in first.segments] == ["wait", "run", "retry", "run"]
            assert [s.kind for s in second.segments] == ["wait"]
            assert second.segments[0].end_us is not None
            failure = reader.last_failure(run.id, 2)
            assert failure is not None
            assert failure.exception == captured("boom")
            (upstream,) = reader.upstreams(run.id, [3])[3]
            assert (upstream.name, upstream.is_completed) == ("load-2", False)
            (group,) = reader.task_groups(run.id)
            assert (group.n, group.counts) == (4, run.counts)
            assert [edge.count for edge in reader.graph(run.id).edges] == [2]


def test_every_word_for_states_finds_what_the_counters_count(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit)
        a_flow_with_everything(run)
        run.task(5).task(6).state(6, RUNNING).task(7).state(7, SCHEDULED, "AwaitingRetry")
        assert session.flush()
        with Reader.open(home) as reader:
            record = reader.resolve_run(run.uid)
            words = ("scheduled", "pending", "running", "completed", "failed", "crashed",
                     "cancelled", "cached", "notready")  # fmt: skip
            assert record.counts == tuple(
                reader.count_tasks(record.id, f"state:{word}") for word in words
            )


FOLLOWED = """
import sys
from pathlib import Path
from store_writing import Recorded, recording
from flowdeck_store.states import COMPLETED, RUNNING
with recording(Path(sys.argv[1])) as session:
    run = Recorded(session.emit, "ab" * 16).run("followed")
    for no in range(1, 301):
        run.task(no).state(no, RUNNING).log(f"line {no}", no).state(no, COMPLETED)
    run.end()
"""


def test_following_another_process_misses_nothing_and_repeats_nothing(home: Path) -> None:
    with Feed(home) as feed, Reader.open(home) as reader:
        cursor = feed.start()
        process = start(FOLLOWED, home)
        states: list[int] = []
        lines: list[str] = []
        ended = False

        def follow() -> bool:
            nonlocal cursor, ended
            more = feed.poll()
            while more:
                changes = feed.changes(cursor, limit=50)
                assert not changes.reset
                states.extend(state.seq for state in changes.states)
                lines.extend(line.message for line in changes.logs)
                ended |= any(s.task_no == 0 and s.code == COMPLETED for s in changes.states)
                cursor, more = changes.cursor, changes.more
            return ended and len(lines) >= 300

        wait_until(follow, "the end of the run was seen")
        finish(process)
        assert lines == [f"line {no}" for no in range(1, 301)]
        assert states == sorted(set(states))
        assert len(states) == 300 * 3 + 3
        run = reader.run_by_uid("ab" * 16)
        assert run is not None
        assert run.counts[3] == 300


def test_deleting_beside_a_recording_process_never_breaks_its_next_failure(home: Path) -> None:
    """The process stores a traceback once; taking it away would make later failures dangle."""
    with recording(home) as session:
        first, second = Recorded(session.emit), Recorded(session.emit)
        for run in (first, second):
            run.run().task(1).state(1, RUNNING)
        fail(first, 1)
        first.state(1, FAILED).end(FAILED)
        assert session.flush()
        number = session.run_number(first.uid)
        assert number is not None
        assert retention.delete_runs(home, [number]).run_ids == (number,)
        fail(second, 1, "again")
        second.state(1, FAILED).end(FAILED)
        assert session.flush()
        assert session.statistics().healthy
    with Reader.open(home) as reader:
        (run,) = reader.runs()
        (failure,) = reader.failures(run.id)
        assert failure.exception == captured("again")
    assert retention.delete_runs(home, [run.id]).run_ids == (run.id,)


def test_a_recorded_run_travels_to_another_store(home: Path, tmp_path: Path) -> None:
    with recording(home) as session:
        a_flow_with_everything(Recorded(session.emit))
    export_run(home, 1, tmp_path / "otter")
    imported = import_run(tmp_path / "there", tmp_path / "otter")
    with Reader.open(home) as here, Reader.open(tmp_path / "there") as there:
        before, after = here.run(1), there.run(imported.root)
        assert before is not None
        assert after is not None
        assert after.counts == before.counts
        assert after.info == before.info == json.loads('{"cwd": "/w"}')
        assert [f.exception for f in there.failures(after.id)] == [captured("boom")]
        assert there.results(after.id)[0].location is None
