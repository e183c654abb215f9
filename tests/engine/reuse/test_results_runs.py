"""Which results of runs are kept on disk, which stay in memory, and what can be had back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.settings import using
from flowdeck.states.lazy_values import LazyValue
from flowdeck.task_runners import SequentialTaskRunner
from flowdeck_store import events as ev

if TYPE_CHECKING:
    from flowdeck.testing import Record


def kept(record: Record) -> dict[int, bool]:
    """Of each run with a recorded result (0: the flow), whether it lies on disk."""
    return {e["no"]: e["location"] is not None for e in record.of_kind(ev.RESULT)}


@task
def value() -> list[int]:
    return [1, 2]


def test_results_stay_in_memory_unless_somebody_wants_them(record: Record) -> None:
    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        return value()

    assert f() == [1, 2]
    assert kept(record) == {0: False, 1: False}


@pytest.mark.parametrize(
    ("of_task", "of_flow", "setting", "expected"),
    [
        (True, None, False, True),
        (None, True, False, True),
        (None, None, True, True),
        (False, True, True, False),
        (None, False, True, False),
    ],
)
def test_the_most_special_wish_decides(
    of_task: bool | None, of_flow: bool | None, setting: bool, expected: bool, record: Record
) -> None:
    t = value.with_options(persist_result=of_task)

    @flow(persist_result=of_flow, task_runner=SequentialTaskRunner())
    def f() -> Any:
        return t.submit().result()

    with using(persist_results=setting):
        assert f() == [1, 2]
    assert kept(record)[1] is expected


def test_a_result_dropped_from_memory_is_kept_and_read_when_asked_for(record: Record) -> None:
    t = value.with_options(cache_result_in_memory=False)

    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        state = t.submit().wait()
        assert isinstance(state.data, LazyValue)
        first, second = state.value(), state.value()
        assert first is not second  # read anew each time: it is not in memory
        return first, second

    assert f() == ([1, 2], [1, 2])
    assert kept(record)[1]


def test_a_dropped_result_still_goes_into_other_tasks(record: Record) -> None:
    t = value.with_options(cache_result_in_memory=False)

    @task
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        return total.submit(t.submit()).result()

    assert f() == 3


def test_a_flows_own_result_may_be_dropped_and_had_back(record: Record) -> None:
    @flow(cache_result_in_memory=False, task_runner=SequentialTaskRunner())
    def f() -> Any:
        return {"a": 1}

    state = f(return_state=True)
    assert isinstance(state.data, LazyValue)
    assert state.result() == {"a": 1}
    assert f() == {"a": 1}


@pytest.mark.parametrize("serializer", ["json", "compressed/pickle"])
def test_tasks_use_the_serializer_of_their_flow_unless_they_have_one(
    serializer: str, home: Any
) -> None:
    own = value.with_options(result_serializer="pickle")

    @flow(persist_result=True, result_serializer=serializer, task_runner=SequentialTaskRunner())
    def f() -> Any:
        return value(), own()

    assert [list(part) for part in f()] == [[1, 2], [1, 2]]
    files = [path for path in (home / "results").rglob("*") if path.is_file()]
    used = sorted(path.read_bytes().split(b" ")[2].decode() for path in files)
    assert used == sorted([serializer, serializer, "pickle"])


def test_a_result_that_cannot_be_pickled_stays_in_memory_and_says_so(record: Record) -> None:
    @task(persist_result=True)
    def generator_frame() -> Any:
        return {"frame": (item for item in [1]).gi_frame}

    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        state = generator_frame.submit().wait()
        return state.name, "frame" in state.value()

    assert f() == ("Completed", True)
    assert kept(record)[1] is False
    (line,) = [line for line in record.logs if "kept in memory only" in line]
    assert "'frame'" in line


def test_results_of_a_flow_with_retries_are_had_back_in_the_next_attempt(record: Record) -> None:
    calls: list[str] = []

    @task
    def once() -> object:
        calls.append("once")
        return {"a": 1}

    @flow(retries=1, task_runner=SequentialTaskRunner())
    def f() -> Any:
        found = once.submit().result()
        calls.append("body")
        if calls.count("body") == 1:
            raise ValueError
        return found

    assert f() == {"a": 1}
    assert calls == ["once", "body", "body"]
