"""What a run was like at a moment, decided from recorded changes of state; and a reader of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read.reader import Reader
from flowdeck_store.read.replay.history import StateChange, moment_of, read_history
from flowdeck_store.read.replay.reader import ReplayReader
from flowdeck_store.states import COMPLETED, FAILED, PENDING, RUNNING, SCHEDULED
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHANGES = [
    StateChange(10, RUNNING, None, None),
    StateChange(20, SCHEDULED, "AwaitingRetry", "no"),
    StateChange(30, RUNNING, "Retrying", None),
    StateChange(40, FAILED, None, "no again"),
]


def at(second: float) -> int:
    return T0 + round(second * SECOND)


class TestMoment:
    def test_before_it_was_made_there_is_nothing(self) -> None:
        assert moment_of(5, CHANGES, 4) is None

    def test_until_its_first_change_it_is_pending(self) -> None:
        found = moment_of(5, CHANGES, 9)
        assert found is not None
        assert (found.code, found.state_us, found.started_us, found.attempt) == (
            PENDING,
            5,
            None,
            1,
        )

    @pytest.mark.parametrize(
        ("us", "code", "named", "attempt", "ended"),
        [(10, RUNNING, None, 1, None), (29, SCHEDULED, "AwaitingRetry", 1, None),
         (30, RUNNING, "Retrying", 2, None), (99, FAILED, None, 2, 40)],
    )  # fmt: skip
    def test_each_change_counts_from_its_time_on(
        self, us: int, code: int, named: str | None, attempt: int, ended: int | None
    ) -> None:
        found = moment_of(5, CHANGES, us)
        assert found is not None
        assert (found.code, found.named, found.attempt, found.ended_us) == (
            code, named, attempt, ended,
        )  # fmt: skip
        assert found.started_us == 10


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Run 1 from 0 to 10: a runs 1-3, sub runs 4-9 and stands for run 2 in which b fails at 8."""
    builder = StoreBuilder(tmp_path)
    first = builder.run("before", seconds=7.0)
    run = builder.run("top", created=at(0), started=at(0), seconds=10.0)
    a = builder.task(run, 1, name="a", started=at(1), seconds=2, created_us=at(0.5))
    builder.task(run, 2, task="sub", name="sub", started=at(4), seconds=5, created_us=at(4))
    child = builder.run("middle", flow="m", parent_task=run << 24 | 2, created=at(4), started=at(4),
                        seconds=5.0, state=FAILED)  # fmt: skip
    builder.task(child, 1, task="b", name="b", started=at(5), seconds=3, created_us=at(5),
                 state=FAILED, state_msg="ValueError: no")  # fmt: skip
    builder.edge(run, 2, 1, "x")
    for run_id, no, steps in (
        (run, 0, ((RUNNING, 0), (COMPLETED, 10))),
        (run, 1, ((RUNNING, 1), (COMPLETED, 3))),
        (run, 2, ((RUNNING, 4), (COMPLETED, 9))),
        (child, 0, ((RUNNING, 4), (FAILED, 9))),
        (child, 1, ((RUNNING, 5), (FAILED, 8))),
    ):
        for code, second in steps:
            builder.state(run_id, no, code, us=at(second))
    for second in range(10):
        builder.log(run, 1, f"line {second}", us=at(second), level=40 if second == 6 else 20)
    assert (first, a) == (1, run << 24 | 1)
    builder.close()
    return tmp_path


@pytest.fixture
def replay(recorded: Path) -> Iterator[ReplayReader]:
    with Reader.open(recorded) as reader:
        history = read_history(reader, 2)
    with ReplayReader.of(recorded, history) as found:
        yield found


def states(reader: Reader, run_id: int = 2) -> list[tuple[str, str]]:
    return [(task.name, task.state) for task in reader.tasks(run_id)]


class TestReader:
    def test_every_read_is_as_of_the_moment(self, replay: ReplayReader) -> None:
        replay.seek(at(0.2))
        assert states(replay) == []
        run = replay.run(2)
        assert run is not None
        assert (run.state, run.ended_us, run.n_tasks) == ("Running", None, 0)
        replay.seek(at(2))
        assert states(replay) == [("a", "Running")]
        assert [line.message for line in replay.logs(2)] == ["line 0", "line 1", "line 2"]
        assert replay.count_logs(2) == 3
        assert len(replay.log_index(2)) == 3
        assert not replay.has_subflows(2)
        replay.seek(at(6))
        assert states(replay) == [("a", "Completed"), ("sub", "Running")]
        assert states(replay, 3) == [("b", "Running")]
        assert replay.count_logs(2, min_level=40) == 1
        assert [edge.count for edge in replay.graph(2).edges] == [1]
        assert replay.run_tree(2).keys() == {2, 3}

    def test_filters_orders_and_counts_see_the_moment(self, replay: ReplayReader) -> None:
        replay.seek(at(6))
        assert [task.name for task in replay.tasks(2, "state:running")] == ["sub"]
        assert [task.name for task in replay.tasks(2, order="problems")] == ["sub", "a"]
        replay.seek(at(8))
        assert [task.message for task in replay.tasks(3, "state:failed")] == [None]
        bars = {bar.name: bar.segments[-1].end_us for bar in replay.timeline(2, [1, 2])}
        assert bars == {"a": at(3), "sub": None}

    def test_at_the_end_it_is_the_record(self, recorded: Path, replay: ReplayReader) -> None:
        replay.seek(at(99))
        with Reader.open(recorded) as reader:
            run, then = reader.run(2), replay.run(2)
            assert run is not None
            assert then is not None
            assert (then.code, then.ended_us, then.counts) == (run.code, run.ended_us, run.counts)
            assert states(replay) == states(reader)
            assert [row.message for row in replay.logs(2)] == [
                row.message for row in reader.logs(2)
            ]

    def test_whichever_way_a_moment_is_come_to_it_is_the_same(
        self, recorded: Path, replay: ReplayReader
    ) -> None:
        chance = random.Random(7)
        for _ in range(40):
            moment = at(chance.uniform(-1, 11))
            replay.seek(moment)
            with ReplayReader.of(recorded, replay._history) as other:
                other.seek(moment)
                assert replay.tasks(2) == other.tasks(2)
                assert replay.tasks(3) == other.tasks(3)
                assert replay.runs_by_ids([2, 3]) == other.runs_by_ids([2, 3])

    def test_going_back_is_another_generation(self, replay: ReplayReader) -> None:
        replay.seek(at(5))
        first = replay.generation
        replay.seek(at(6))
        assert replay.generation == first
        replay.seek(at(1))
        assert replay.generation > first

    def test_earlier_runs_of_the_flow_are_there_and_nothing_is_written(
        self, recorded: Path, replay: ReplayReader
    ) -> None:
        replay.seek(at(5))
        run = replay.run(2)
        assert run is not None
        flow = replay.flow_of(run)
        assert flow is not None
        assert [point.run_id for point in flow.history] == [1, 2]
        with Reader.open(recorded) as reader:
            assert [run.id for run in reader.runs()] == [3, 2, 1]


def test_steps_lead_from_change_to_change(recorded: Path) -> None:
    with Reader.open(recorded) as reader:
        history = read_history(reader, 2)
    assert (history.start_us, history.end_us) == (at(0), at(10))
    assert history.following(at(0)) == at(0.5)
    assert history.following(at(10)) == at(10)
    assert history.preceding(at(0.5)) == at(0)
    assert history.preceding(at(0)) == at(0)
    assert history.failures() == [at(8)]
    assert history.changed(at(5), at(8)) == {3 << 24 | 1} == history.changed(at(8), at(5))


def test_a_history_that_was_cut_is_what_the_row_says(tmp_path: Path) -> None:
    builder = StoreBuilder(tmp_path)
    run = builder.run("top", created=at(0), started=at(0), seconds=10.0)
    builder.task(run, 1, started=at(1), seconds=2)
    builder.close()
    with Reader.open(tmp_path) as reader:
        history = read_history(reader, run)
    found = history.at(run << 24 | 1, at(2))
    assert found is not None
    assert found.code == RUNNING


def test_a_replay_begins_where_the_run_began_and_not_where_it_was_launched(tmp_path: Path) -> None:
    builder = StoreBuilder(tmp_path)
    run = builder.run("top", created=at(0), started=at(2), seconds=8.0)
    for code, second in ((RUNNING, 2), (COMPLETED, 10)):
        builder.state(run, 0, code, us=at(second))
    never = builder.run("never", created=at(0), started=None, state=FAILED)
    builder.state(never, 0, FAILED, us=at(1))
    builder.close()
    with Reader.open(tmp_path) as reader:
        history = read_history(reader, run)
        assert (history.start_us, history.preceding(at(3))) == (at(2), at(2))
        assert history.preceding(at(1)) == at(2)
        assert read_history(reader, never).start_us == at(0)
