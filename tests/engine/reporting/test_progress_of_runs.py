"""How far runs say they are: in the record from any runner, bounded, and nothing outside of runs."""

from __future__ import annotations

import asyncio
import decimal
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, progress, task, track
from flowdeck.reporting.tqdm_bars import CountingBar
from flowdeck.runs.recorder import MemoryRecorder, recorded_by
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck_store import events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def said(function: Callable[[], Any], runner: Any = None) -> list[tuple[Any, ...]]:
    """Run a flow and return number, done, total and message of what its runs said."""
    memory = MemoryRecorder()
    with recorded_by(memory):
        made = flow(function, task_runner=runner or SequentialTaskRunner())
        result = made()
        if asyncio.iscoroutine(result):
            asyncio.run(result)
    return [
        (no, done, total, message)
        for kind, _, no, *rest in memory.events
        if kind == events.PROGRESS
        for _us, done, total, message in [rest]
    ]


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
def test_a_task_says_how_far_it_is(runner: Any) -> None:
    @task
    def load() -> None:
        progress(1, 3, "loading")
        progress(2, 3, "fitting")

    def work() -> None:
        load.submit().result()

    assert said(work, runner()) == [(1, 1.0, 3.0, "loading"), (1, 2.0, 3.0, "fitting")]


def test_a_flow_says_it_of_itself() -> None:
    assert said(lambda: progress(5)) == [(0, 5.0, None, None)]


def test_of_a_fast_loop_little_is_recorded_and_always_the_last() -> None:
    @task
    def count() -> None:
        for number in range(5_000):
            progress(number + 1, 5_000)

    found = said(lambda: count())
    assert 2 <= len(found) <= 100
    assert found[-1] == (1, 5000.0, 5000.0, None)


def test_the_last_of_a_task_that_fails_is_recorded() -> None:
    @task
    def count() -> None:
        for number in range(100):
            progress(number, 100)
        raise ValueError("no")

    def work() -> str:
        count(return_state=True)
        return "done"

    assert said(work)[-1] == (1, 99.0, 100.0, None)


def test_a_tracked_loop_counts_what_is_done_and_the_outermost_one_tells() -> None:
    @task
    def outer() -> None:
        for _ in track([1, 2], message="pages"):
            for _ in track(range(50)):
                pass

    found = said(lambda: outer())
    assert {total for _, _, total, _ in found} == {2.0}
    assert found[-1] == (1, 2.0, 2.0, "pages")


def test_a_loop_that_is_left_early_leaves_its_progress_where_it_was() -> None:
    @task
    def first() -> None:
        for item in track(range(10)):
            if item == 7:
                break

    assert said(lambda: first())[-1] == (1, 7.0, 10.0, None)


def test_async_items_are_tracked() -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    @task
    async def read() -> list[int]:
        return [item async for item in track(items(), total=3)]

    async def work() -> None:
        assert await read() == [0, 1, 2]

    assert said(work)[-1] == (1, 3.0, 3.0, None)


def test_outside_of_a_run_nothing_happens_but_the_iteration() -> None:
    progress(1, 2, "x")
    assert list(track(iter("ab"), 2)) == ["a", "b"]
    assert len(track([1, 2])) == 2

    async def items() -> AsyncIterator[int]:
        yield 1

    async def read() -> list[int]:
        return [item async for item in track(items())]

    assert asyncio.run(read()) == [1]


@pytest.mark.parametrize(
    ("value", "error"),
    [(float("nan"), ValueError), (float("inf"), ValueError), ("many", TypeError), ([], TypeError)],
)
def test_what_is_no_finite_number_is_refused_with_its_name(value: Any, error: type) -> None:
    with pytest.raises(error, match="total"):
        progress(1, value)
    with pytest.raises(error, match="done"):
        progress(value)


def test_numbers_of_others_are_taken() -> None:
    assert said(lambda: progress(decimal.Decimal("1.5"), True)) == [(0, 1.5, 1.0, None)]


def test_what_cannot_be_iterated_over_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="not a int"):
        track(3)  # type: ignore[call-overload]


def test_secrets_in_messages_are_hidden() -> None:
    ((*_, message),) = said(lambda: progress(1, 2, "with password=hunter2secret"))
    assert "hunter2" not in message


def test_a_bar_without_tqdm_counts_and_tells() -> None:
    @task
    def load() -> int:
        bar = CountingBar(range(3), desc="rows: ", unit="rows")
        assert len(bar) == 3
        count = sum(1 for _ in bar)
        with CountingBar(total=10, desc="bytes") as bytes_:
            bytes_.update(4)
            bytes_.set_postfix(left=6)
            bytes_.update(6)
        assert CountingBar(range(2), disable=True).total == 2
        return count

    found = said(lambda: load())
    assert (1, 3.0, 3.0, "rows") in found
    assert found[-1] == (1, 10.0, 10.0, "bytes")


def test_the_first_bar_of_a_run_tells_until_it_is_closed() -> None:
    def work() -> None:
        outer = CountingBar(total=2)
        list(CountingBar(range(5)))
        outer.update()
        outer.close()
        list(CountingBar(range(5)))

    found = said(work)
    assert found[0] == (0, 0.0, 2.0, None)
    assert (0, 1.0, 2.0, None) in found
    assert found[-1] == (0, 5.0, 5.0, None)
