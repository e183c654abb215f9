"""What a call depends on when it is given values: results of task runs are recognised."""

from __future__ import annotations

import gc
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck import allow_failure, flow, task
from flowdeck.runs.lineage import FEW, LOOKED_AT, PARTS, SMALL, Lineage
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck.threads import active
from flowdeck_store import events

RUNNERS = [SequentialTaskRunner, ConcurrentTaskRunner]


def upstreams(record: Record, name: str) -> list[tuple[str, str]]:
    """Return the edges of the one run of this task: (parameter, task of the upstream)."""
    runs = {event["no"]: event for event in record.of_kind(events.TASK)}
    names = {no: event["name"].rsplit("-", 2)[0] for no, event in runs.items()}
    (found,) = [event for no, event in runs.items() if names[no] == name]
    return [(param, names[no]) for param, _, no in found["inputs"] or ()]


@task
def extract() -> list[int]:
    return [1, 2, 3]


@task
def transform(data: Any) -> dict[str, Any]:
    return {"data": data}


@task
def load(rows: Any, note: str = "") -> int:
    return 1


@pytest.mark.parametrize("runner", RUNNERS)
def test_values_of_direct_calls_lead_to_the_runs_that_returned_them(
    record: Record, runner: Any
) -> None:
    @flow(task_runner=runner())
    def direct() -> None:
        load(transform(extract()))

    direct()
    assert upstreams(record, "transform") == [("data", "extract")]
    assert upstreams(record, "load") == [("rows", "transform")]


@pytest.mark.parametrize("runner", RUNNERS)
def test_values_of_futures_and_states_too(record: Record, runner: Any) -> None:
    @flow(task_runner=runner())
    def by_hand() -> None:
        data = extract.submit().result()
        state = transform.submit(data, return_state=True)
        load.submit(state.result())

    by_hand()
    assert upstreams(record, "transform") == [("data", "extract")]
    assert upstreams(record, "load") == [("rows", "transform")]


def test_values_in_async_flows_too(record: Record) -> None:
    @task
    async def fetch() -> list[int]:
        return [5]

    @task
    async def double(data: list[int]) -> list[int]:
        return data * 2

    @flow
    async def later() -> None:
        data = await (await fetch.submit()).result()
        load(await double(data))

    anyio.run(later)
    assert upstreams(record, "double") == [("data", "fetch")]
    assert upstreams(record, "load") == [("rows", "double")]


@pytest.mark.parametrize(
    "wrapped", [lambda x: [x], lambda x: (1, x), lambda x: {"a": {"b": [x, 2]}}, allow_failure]
)
def test_values_inside_containers_and_annotations_are_found(record: Record, wrapped: Any) -> None:
    @flow
    def nested() -> None:
        load(wrapped(extract()))

    nested()
    assert upstreams(record, "load") == [("rows", "extract")]


def test_parts_of_a_result_are_found(record: Record) -> None:
    @task
    def split() -> tuple[list[int], list[int]]:
        return [1], [2]

    @flow
    def parted() -> None:
        _first, second = split()
        load(second)

    parted()
    assert upstreams(record, "load") == [("rows", "split")]


def test_mapped_values_lead_each_to_its_own_run(record: Record) -> None:
    @flow
    def mapped() -> None:
        rows = [future.result() for future in transform.map([1, 2])]
        load.map(rows)

    mapped()
    runs = record.of_kind(events.TASK)
    assert [event["inputs"] for event in runs] == [
        None, None, (("rows", None, 1),), (("rows", None, 2),)
    ]  # fmt: skip


def test_the_value_of_a_subflow_leads_to_its_stand_in(record: Record) -> None:
    @flow
    def child() -> list[int]:
        return extract()

    @flow
    def parent() -> None:
        load(child())
        load(child(return_state=True).result())

    parent()
    runs = record.of_kind(events.TASK)
    top = runs[0]["uid"]
    mine = {event["no"]: event for event in runs if event["uid"] == top}
    stands = [no for no, event in mine.items() if event["name"].startswith("child-")]
    assert [event["inputs"] for event in mine.values() if event["inputs"]] == [
        (("rows", None, no),) for no in stands
    ]


def test_a_task_that_calls_tasks_passes_their_results_on(record: Record) -> None:
    @task
    def outer() -> int:
        return load(extract())

    @flow
    def calls() -> None:
        outer()

    calls()
    assert upstreams(record, "load") == [("rows", "extract")]


@pytest.mark.parametrize(
    "value", [None, True, 7, 256, "short", b"short", (), frozenset(), int, len]
)
def test_what_python_shares_says_nothing(record: Record, value: Any) -> None:
    @task
    def give() -> Any:
        return value

    @flow
    def shared() -> None:
        load(give())

    shared()
    assert upstreams(record, "load") == []


@pytest.mark.parametrize("value", [257, 0.5, "long enough to be a path", (1, 2)])
def test_a_constant_that_two_tasks_return_is_nobodys(record: Record, value: Any) -> None:
    @task
    def one() -> Any:
        return value

    @task
    def two() -> Any:
        return value

    @flow
    def shared() -> None:
        first = one()
        two()
        load(first)

    shared()
    assert upstreams(record, "load") == []


def test_an_object_that_a_task_changes_and_returns_is_its_own(record: Record) -> None:
    @task
    def clean(rows: list[int]) -> list[int]:
        rows.append(4)
        return rows

    @flow
    def pipeline() -> None:
        load(clean(extract()))

    pipeline()
    assert upstreams(record, "clean") == [("rows", "extract")]
    assert upstreams(record, "load") == [("rows", "clean")]


@pytest.mark.parametrize("value", ["long enough to be a path", 0.5])
def test_a_constant_that_a_task_was_given_and_passes_on_is_its_own(
    record: Record, value: Any
) -> None:
    @task
    def read() -> Any:
        return value

    @task
    def check(path: Any) -> Any:
        return path

    @flow
    def pipeline() -> None:
        load(check(read()))

    pipeline()
    assert upstreams(record, "check") == [("path", "read")]
    assert upstreams(record, "load") == [("rows", "check")]


def test_children_of_a_mapped_result_lead_to_it_whatever_its_items_are(record: Record) -> None:
    @flow
    def mapped() -> None:
        load.map(extract())

    mapped()
    runs = record.of_kind(events.TASK)
    assert [event["inputs"] for event in runs] == [None, *[(("rows", None, 1),)] * 3]


class Thing:
    pass


def test_an_address_that_is_used_again_is_not_the_old_value() -> None:
    lineage = Lineage()
    for no in range(1, 200):
        lineage.enter(Thing(), no, is_kept=False)
        gc.collect(0)
        assert lineage.origin_of(Thing()) is None


def test_values_that_the_run_does_not_keep_are_held_weakly_or_few_of_them() -> None:
    lineage = Lineage()
    things = [Thing() for _ in range(FEW * 2)]
    lists = [[str(number)] for number in range(FEW * 2)]
    for no, (thing, one) in enumerate(zip(things, lists, strict=True), 1):
        lineage.enter(thing, no, is_kept=False)
        lineage.enter(one, no, is_kept=False)
    assert all(lineage.origin_of(thing) == (no, True) for no, thing in enumerate(things, 1))
    assert [lineage.origin_of(one) is not None for one in lists] == [False] * FEW + [True] * FEW


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def in_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    ("value", "is_held"),
    [
        ([1, "a", (2.0, {"b": b"c"})], True),
        (["a row of some text"] * 5000, True),
        (b"0" * (SMALL + 1), False),
        ([bytes(SMALL // 10)] * 20, False),
        ({"deep": [{"big": "x" * (SMALL + 1)}]}, False),
        ([Thing()], False),  # may hold anything
        (nested(5), True),
        (nested(5000), False),
        (in_itself(), False),
    ],
)
def test_what_a_run_does_not_keep_is_not_held_if_it_is_large(value: Any, is_held: bool) -> None:
    lineage = Lineage()
    lineage.enter(value, 1, is_kept=False)
    assert (lineage.origin_of(value) is not None) == is_held


def test_futures_alone_are_recognised_without_a_table_of_values(record: Record) -> None:
    used: list[bool] = []

    @flow
    def chain() -> None:
        future = transform.submit(extract.submit())
        load.submit(future).wait()
        run: Any = active.current_flow_run.get()
        used.append(run.lineage.is_used)

    chain()
    assert used == [False]
    assert upstreams(record, "load") == [("rows", "transform")]


def test_only_the_first_parts_and_so_many_items_are_looked_at() -> None:
    lineage = Lineage()
    parts = [[number] for number in range(PARTS + 1)]
    lineage.enter(parts, 1, is_kept=True)
    assert lineage.origin_of(parts[PARTS - 1]) == (1, False)
    assert lineage.origin_of(parts[PARTS]) is None
    far: list[Any] = [*range(LOOKED_AT), parts]
    assert list(lineage.edges({"near": [parts], "far": far})) == [("near", 1)]


def test_a_list_that_holds_itself_has_an_end() -> None:
    lineage = Lineage()
    lineage.enter([1], 1, is_kept=True)
    loop: list[Any] = []
    loop.append(loop)
    assert list(lineage.edges({"x": loop})) == []


values = st.recursive(
    st.builds(Thing) | st.floats() | st.text(min_size=20) | st.integers(min_value=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(values, max_size=8), st.data())
def test_what_is_found_is_what_was_entered(results: list[Any], data: st.DataObject) -> None:
    lineage = Lineage()
    for no, value in enumerate(results, 1):
        lineage.enter(value, no, is_kept=data.draw(st.booleans()))
    for name, no in lineage.edges({str(no): [value] for no, value in enumerate(results, 1)}):
        entered = [results[no - 1]]
        if isinstance(results[no - 1], dict):
            entered += results[no - 1].values()
        elif isinstance(results[no - 1], list):
            entered += results[no - 1]
        walked = [results[int(name) - 1]]
        found = False
        while walked and not found:
            item = walked.pop()
            found = any(item is each for each in entered)
            walked += (
                item.values() if isinstance(item, dict) else item if type(item) is list else []
            )
        assert found
