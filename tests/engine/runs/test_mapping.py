"""`.map`: what is mapped over, what each child gets, and what is refused."""

from __future__ import annotations

import dataclasses
import os
import threading
from array import array
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from flowdeck import allow_failure, flow, quote, task, unmapped
from flowdeck.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    ParameterBindError,
    UpstreamTaskError,
)
from flowdeck.inputs import given
from flowdeck.states import Completed
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


@task
def show(x: Any, y: Any = "d") -> Any:
    return quote((x, y))


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def same(x: Any) -> Any:
    return x


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


def mapped(body: Any, runner: Any = None) -> Any:
    """Return the values of the futures that ``body`` returns."""

    @flow(task_runner=runner or SequentialTaskRunner())
    def f() -> Any:
        return quote([future.result() for future in body()])

    return [v.unquote() if isinstance(v, quote) else v for v in f().unquote()]


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        ({5}, [5]),
        (range(2), [0, 1]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        ({"a": 1}.values(), [1]),
        (quote([1, 2]), [1, 2]),
        ([[1], [2]], [[1], [2]]),
        (["ab", "cd"], ["ab", "cd"]),
    ],
)
def test_iterables_give_one_child_an_item(value: Any, items: list[Any]) -> None:
    assert mapped(lambda: show.map(value)) == [(item, "d") for item in items]


class NoDimensions:
    """As an array without dimensions: it has the method, but cannot be iterated over."""

    def __iter__(self) -> Any:
        raise TypeError("iteration over a 0-d array")


def test_generators_and_arrays_are_mapped_too() -> None:
    assert mapped(lambda: show.map(x for x in [1, 2])) == [(1, "d"), (2, "d")]
    assert mapped(lambda: show.map(array("i", [1, 2]))) == [(1, "d"), (2, "d")]
    scalar = NoDimensions()
    assert mapped(lambda: show.map([7], scalar)) == [(7, scalar)]


@pytest.mark.parametrize("static", ["text", b"bytes", bytearray(b"b"), 5, None, 1.5])
def test_what_is_no_iterable_goes_whole_to_each_child(static: Any) -> None:
    assert mapped(lambda: show.map([1, 2], static)) == [(1, static), (2, static)]


class Pair(NamedTuple):
    a: int
    b: int


@dataclasses.dataclass
class Config:
    a: int

    def __iter__(self) -> Any:
        return iter([self.a])


class Model(BaseModel):
    a: int = 1


@pytest.mark.parametrize(
    "record", [Pair(1, 2), Config(1), Model(), os.stat(os.curdir), memoryview(b"abc")]
)
def test_records_go_whole_their_fields_are_no_items(record: Any) -> None:
    assert mapped(lambda: show.map([1, 2], record)) == [(1, record), (2, record)]
    assert mapped(lambda: show.map([record], 1)) == [(record, 1)]
    with pytest.raises(MappingMissingIterable):
        mapped(lambda: show.map(record, 1))


def test_an_unmapped_generator_gives_all_runs_all_items() -> None:
    assert mapped(lambda: show.map([1, 2], unmapped(x for x in "ab"))) == [
        (1, ["a", "b"]),
        (2, ["a", "b"]),
    ]


def test_an_iterator_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless() -> Any:
        while True:
            yield 1

    monkeypatch.setattr(given, "MAX_DRAWN", 1000)
    with pytest.raises(ValueError, match=r"'1' is a generator that gave more than 1,000 items"):
        mapped(lambda: show.map(endless(), 1))

    @flow
    def whole(x: Any) -> None: ...

    state = whole(endless(), return_state=True)
    assert state.is_failed()
    assert "Argument 'x' is a generator that gave more than 1,000 items" in str(state.message)


def test_files_go_whole(tmp_path: Any) -> None:
    path = tmp_path / "f"
    path.write_text("a\nb\n")
    with open(path) as file:
        assert mapped(lambda: show.map([1, 2], file)) == [(1, file), (2, file)]


def test_unmapped_goes_whole_and_what_is_no_container_itself() -> None:
    whole = object()
    (first, second) = mapped(lambda: show.map([1, 2], unmapped([whole, 3])))
    assert first[1] == second[1] == [whole, 3]
    assert unmapped(whole)[17] is whole
    assert mapped(lambda: show.map([1], unmapped(same.submit([5])))) == [(1, [5])]


def test_a_default_is_not_mapped_even_if_it_is_iterable() -> None:
    @task
    def f(x: Any, y: Any = (1, 2, 3)) -> Any:
        return quote((x, y))

    assert mapped(lambda: f.map([1, 2])) == [(1, (1, 2, 3)), (2, (1, 2, 3))]


def test_items_of_keyword_arguments_are_looked_at_one_by_one() -> None:
    @task
    def f(x: Any, **kwargs: Any) -> Any:
        return quote((x, kwargs))

    assert mapped(lambda: f.map([1, 2], a=[3, 4], b="s", kwargs=[5, 6])) == [
        (1, {"a": 3, "b": "s", "kwargs": 5}),
        (2, {"a": 4, "b": "s", "kwargs": 6}),
    ]


def test_positional_rest_arguments_go_whole() -> None:
    @task
    def f(x: Any, *rest: Any) -> Any:
        return quote((x, rest))

    assert mapped(lambda: f.map([1, 2], [3], 4)) == [(1, ([3], 4)), (2, ([3], 4))]


def test_several_iterables_go_side_by_side() -> None:
    assert mapped(lambda: add.map([1, 2], y=[10, 20])) == [11, 22]


def test_an_empty_iterable_makes_no_runs(record: Record) -> None:
    assert mapped(lambda: show.map([])) == []
    assert record.of_kind(events.TASK) == []


def test_nothing_to_map_over_is_an_error_that_shows_the_parameters() -> None:
    class Bad:
        def __repr__(self) -> str:
            raise RuntimeError

    @flow
    def f() -> Any:
        with pytest.raises(MappingMissingIterable) as caught:
            show.map(1, "text")
        with pytest.raises(MappingMissingIterable):
            show.map(Bad())
        return str(caught.value)

    assert f() == (
        "No iterable parameters were received. Parameters for map must include at least one "
        "iterable. Parameters: {'x': 1, 'y': 'text'}"
    )


def test_different_lengths_are_an_error_that_shows_them() -> None:
    @flow
    def f() -> Any:
        with pytest.raises(MappingLengthMismatch) as caught:
            show.map([1, 2], [1, 2, 3])
        return str(caught.value)

    assert f() == (
        "Received iterable parameters with different lengths. Parameters for map must all be the "
        "same length. Got lengths: {'x': 2, 'y': 3}"
    )


def test_arguments_must_fit_the_signature() -> None:
    @flow
    def f() -> Any:
        with pytest.raises(ParameterBindError):
            show.map()
        with pytest.raises(ParameterBindError):
            show.map([1], z=1)
        return 1

    assert f() == 1


# -- futures and states -------------------------------------------------------------------------------


def test_a_future_at_the_top_is_waited_for_and_mapped_over(record: Record) -> None:
    assert mapped(lambda: add.map(same.submit([1, 2])), ConcurrentTaskRunner()) == [2, 3]
    edges = [e["inputs"] for e in record.of_kind(events.TASK) if e["map_index"] is not None]
    assert edges == [(("x", None, 1),)] * 2
    assert [e["map_index"] for e in record.of_kind(events.TASK)] == [None, 0, 1]


def test_a_state_is_mapped_over_like_its_value() -> None:
    assert mapped(lambda: add.map(Completed(data=[1, 2]))) == [2, 3]
    assert mapped(lambda: add.map(same.submit([1, 2]).wait())) == [2, 3]


def test_futures_as_elements_are_resolved_child_by_child() -> None:
    release = threading.Event()

    @task
    def slow() -> int:
        release.wait(20)
        return 5

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        futures = add.map([slow.submit(), same.submit(1)])
        early = futures[1].result()
        release.set()
        return early, futures[0].result()

    assert f() == (2, 6)


def test_one_failed_element_blocks_only_its_child() -> None:
    @flow
    def f() -> Any:
        states = add.map([same.submit(1), fail.submit(), same.submit(2)], return_state=True)
        return [s.name for s in states]

    assert f() == ["Completed", "NotReady", "Completed"]


def test_a_failed_upstream_at_the_top_raises_from_map() -> None:
    @flow
    def f() -> Any:
        bad = fail.submit()
        with pytest.raises(
            UpstreamTaskError, match=f"Upstream task run '{bad.task_run.name}' did not reach"
        ):
            add.map(bad)
        states = show.map([1, 2], allow_failure(bad), return_state=True)
        return [(s.name, type(s.result().unquote()[1]).__name__) for s in states]

    assert f() == [("Completed", "ValueError")] * 2


def test_allow_failure_around_the_iterable_holds_for_each_child() -> None:
    @flow
    def f() -> Any:
        states = show.map(allow_failure([same.submit(1), fail.submit()]), return_state=True)
        first, second = [s.result().unquote()[0] for s in states]
        return first, type(second).__name__

    assert f() == (1, "ValueError")


def test_wait_for_holds_for_each_child(record: Record) -> None:
    @flow
    def f() -> Any:
        ok = add.map([1, 2], wait_for=[same.submit(1)], return_state=True)
        blocked = add.map([1, 2], wait_for=[fail.submit()], return_state=True)
        return [s.name for s in ok + blocked]

    assert f() == ["Completed", "Completed", "NotReady", "NotReady"]


# -- order ----------------------------------------------------------------------------------------------


def test_children_run_in_order_on_the_sequential_runner() -> None:
    order: list[int] = []

    @task
    def note(x: int) -> int:
        order.append(x)
        return x

    assert mapped(lambda: note.map(range(20))) == list(range(20))
    assert order == list(range(20))


def test_futures_come_in_the_order_of_the_items_whoever_ends_first() -> None:
    first = threading.Event()

    @task
    def note(x: int) -> int:
        if x == 0:
            first.wait(20)
        if x == 4:
            first.set()
        return x

    assert mapped(lambda: note.map(range(5)), ConcurrentTaskRunner()) == list(range(5))


@pytest.mark.anyio
async def test_map_of_an_async_task_in_an_async_flow_is_awaited() -> None:
    @task
    async def double(x: int) -> int:
        return x * 2

    @flow
    async def f() -> Any:
        source = await double.submit(1)
        futures = await double.map([1, source, 3], wait_for=[source])
        states = await double.map([1], return_state=True)
        with pytest.raises(MappingMissingIterable):
            await double.map(1)
        return [await x.result() for x in futures], states[0].name

    assert await f() == ([2, 4, 6], "Completed")


def test_a_mapped_child_can_be_cached_tried_again_and_named() -> None:
    seen: list[str] = []

    @task(task_run_name="item-{x}", retries=1)
    def flaky(x: int) -> int:
        from flowdeck import runtime

        seen.append(runtime.task_run.name)
        if runtime.task_run.run_count == 1 and x == 1:
            raise ValueError
        return x

    assert mapped(lambda: flaky.map([0, 1])) == [0, 1]
    assert seen == ["item-0", "item-1", "item-1"]
