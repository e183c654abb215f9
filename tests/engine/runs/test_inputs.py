"""What happens to futures, states and marks in the arguments of tasks and flows."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import MagicMock

import pydantic
import pytest

from flowdeck import allow_failure, flow, quote, task, unmapped
from flowdeck.exceptions import UnfinishedRun
from flowdeck.futures import TaskFuture
from flowdeck.inputs import nested
from flowdeck.inputs.given import Snapshots
from flowdeck.states import Completed, Failed
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def same(x: Any) -> Any:
    return quote(x)


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


@dataclass
class Point:
    x: Any
    y: Any = None
    total: Any = field(init=False, default=0)


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, frozen=True)
    x: Any
    inner: Any = None


class Pair(NamedTuple):
    a: Any
    b: Any


def through(make: Any, runner: Any = None) -> Any:
    """Return what a task gets for the argument that ``make`` builds around a future of 2."""

    @flow(task_runner=runner or SequentialTaskRunner())
    def f() -> Any:
        return quote(same.submit(make(add.submit(1))).result().unquote())

    return f().unquote()


# -- what is looked through -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda f: f, 2),
        (lambda f: [f, 1, f], [2, 1, 2]),
        (lambda f: (f, (f,)), (2, (2,))),
        (lambda f: {f, 5}, {2, 5}),
        (lambda f: frozenset({f}), frozenset({2})),
        (lambda f: {"k": f, f: "v", "n": {"deep": [f]}}, {"k": 2, 2: "v", "n": {"deep": [2]}}),
        (lambda f: OrderedDict(a=f), OrderedDict(a=2)),
        (lambda f: Point(f, [f]), Point(2, [2])),
        (lambda f: Frozen(f), Frozen(2)),
        (lambda f: Model(x=f, inner=Model(x=[f])), Model(x=2, inner=Model(x=[2]))),
        (lambda f: [[[[[[f]]]]]], [[[[[[2]]]]]]),
        (lambda f: unmapped(f), 2),
        (lambda f: [allow_failure(f)], [2]),
        (lambda f: f.wait(), 2),
        (lambda f: [f.wait()], [2]),
        (lambda f: (x for x in [f, 3]), [2, 3]),
        (lambda f: (x for x in [f]), [2]),
        (lambda f: iter([f]), [2]),
        (lambda f: zip([f], [1], strict=True), [(2, 1)]),
        (lambda f: itertools.chain([f], [1]), [2, 1]),
    ],
)
@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_futures_become_values_in(make: Any, expected: Any, runner: Any) -> None:
    got = through(make, runner)
    assert got == expected
    assert type(got) is type(expected)


class Custom:
    def __init__(self, held: Any) -> None:
        self.held = held


class OwnList(list[Any]): ...


class OwnDict(dict[Any, Any]): ...


@pytest.mark.parametrize(
    ("make", "inside"),
    [
        (lambda f: Pair(f, 1), lambda got: got.a),
        (lambda f: Custom(f), lambda got: got.held),
        (lambda f: OwnList([f]), lambda got: got[0]),
        (lambda f: OwnDict(k=f), lambda got: got["k"]),
        (lambda f: defaultdict(list, k=f), lambda got: got["k"]),
        (lambda f: lambda: f, lambda got: got()),
        (lambda f: MagicMock(held=f), lambda got: got.held),
        (lambda f: quote(f), lambda got: got),
        (lambda f: quote([f]), lambda got: got[0]),
        (lambda f: [quote({"a": f})], lambda got: got[0]["a"]),
        (lambda f: unmapped(quote([f])), lambda got: got[0]),
    ],
)
def test_futures_stay_as_they_are_in(make: Any, inside: Any) -> None:
    assert isinstance(inside(through(make)), TaskFuture)


def test_a_quoted_value_is_handed_over_itself() -> None:
    value = [1, 2]
    assert through(lambda f: quote(value)) is value
    assert through(lambda f: [quote(value)])[0] is value


def test_originals_are_left_untouched_and_what_is_no_container_is_the_same_object() -> None:
    seen: list[Any] = []

    @flow
    def f() -> Any:
        future = add.submit(1)
        plain = Custom("no future")
        point = Point(future, plain)
        argument = [future, plain, point]
        got = same.submit(argument).result().unquote()
        assert argument[0] is future
        assert argument[2] is point
        assert point.x is future
        seen.append((got[0], got[1] is plain, got[2].x, got[2].y is plain, got is argument))
        return 1

    f()
    assert seen == [(2, True, 2, True, False)]


def test_a_container_without_futures_is_handed_over_itself_by_a_direct_call() -> None:
    big = [1, [2, {"a": 3}]]

    @flow
    def f() -> Any:
        return quote((same(big).unquote(), same.submit(big).result().unquote()))

    called, submitted = f().unquote()
    assert called is big
    assert submitted == big
    assert submitted is not big
    assert submitted[1][1] is not big[1][1]


def test_shared_and_self_containing_structures_are_looked_at_once() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    got = through(lambda f: loop)
    assert got is not loop
    assert got[0] == 1
    assert got[1] is got

    def wide(f: Any) -> Any:
        value: Any = [f]
        for _ in range(60):
            value = [value, value]  # 2**60 paths
        return value

    value = through(wide)
    while isinstance(value, list):
        assert value[0] is value[-1]
        value = value[0]
    assert value == 2


def test_very_deep_data_is_fine_without_futures() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    got = through(lambda f: deep)
    is_same = got is deep
    del got
    while deep:  # take it apart here: nothing may want to show it
        deep = deep.pop()
    assert is_same


def test_a_generator_is_materialised_once_for_all_looks(record: Record) -> None:
    made = []

    def numbers(future: Any) -> Any:
        for i in range(3):
            made.append(i)
            yield [i, future]

    assert through(numbers) == [[0, 2], [1, 2], [2, 2]]
    assert made == [0, 1, 2]
    (edges,) = [e["inputs"] for e in record.of_kind(events.TASK) if e["inputs"]]
    assert edges == (("x", None, 1),)


def test_files_and_endless_iterators_are_not_eaten(tmp_path: Any) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")

    @task
    def read(file: Any, counter: Any) -> Any:
        return file.readline(), next(counter)

    with open(path) as file:
        counter = itertools.count(5)

        @flow
        def f() -> Any:
            return read.submit(file, counter).result()

        assert f() == ("one\n", 5)


# -- failed upstreams -------------------------------------------------------------------------------------


def test_an_upstream_that_failed_blocks_with_its_own_name(record: Record) -> None:
    @flow
    def f() -> Any:
        bad = fail.submit()
        first = add.submit({"deep": [bad]})
        second = add.submit(first)
        messages = [first.wait().message, second.wait().message]
        with pytest.raises(UnfinishedRun, match="Run is in PENDING state"):
            second.result(raise_on_failure=False)
        assert f"'{first.task_run.name}'" in messages[1]
        return messages[0].replace(bad.task_run.name, "NAME")

    assert f() == "Upstream task run 'NAME' did not reach a 'COMPLETED' state."
    assert record.state_names("add") == ["Pending", "NotReady"]


def test_a_blocked_task_calls_no_hooks_and_is_not_tried_again() -> None:
    called = []

    @task(on_failure=[lambda task, task_run, state: called.append(1)], retries=3)
    def after(x: Any) -> None:
        called.append(2)

    @flow
    def f() -> Any:
        return after.submit(fail.submit()).wait().name

    assert f() == "NotReady"
    assert called == []


class Odd(BaseException): ...


@task
def crash() -> None:
    raise Odd


@task
def cancelled() -> Any:
    from flowdeck.states import Cancelled

    return Cancelled(message="enough")


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_allow_failure_lets_every_end_through(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        bad = fail.submit("x")
        got = [
            same.submit(allow_failure(bad)).result(),
            same.submit(allow_failure([bad, 1, add.submit(1)])).result(),
            same.submit([allow_failure(bad)]).result(),
        ]
        names = [
            same.submit(allow_failure(crash.submit())).wait().name,
            same.submit(allow_failure(cancelled.submit())).wait().name,
            same.submit(allow_failure(same.submit(bad))).wait().name,
            same.submit(1, wait_for=[allow_failure(bad)]).wait().name,
            same.submit(1, wait_for=[bad]).wait().name,
            same.submit(1, wait_for=[add.submit(1), [[bad]]]).wait().name,
        ]
        return quote(([g.unquote() for g in got], names))

    (one, several, listed), names = f().unquote()
    assert isinstance(one, ValueError)
    assert [type(several[0]), several[1:]] == [ValueError, [1, 2]]
    assert isinstance(listed[0], ValueError)
    assert names == [*["Completed"] * 4, "NotReady", "NotReady"]


def test_states_that_somebody_made_are_inputs_too() -> None:
    @flow
    def f() -> Any:
        return (
            add.submit(Completed(data=4)).result(),
            add.submit(Failed(message="no")).wait().name,
            type(same.submit(allow_failure(Failed(message="no"))).result()).__name__,
        )

    assert f() == (5, "NotReady", "quote")


def test_the_state_of_a_flow_gives_the_flows_result() -> None:
    @flow
    def child(x: int) -> int:
        return x * 10

    @flow
    def parent() -> Any:
        state = child(4, return_state=True)
        return add.submit(state).result(), add(1, wait_for=[state])

    assert parent() == (41, 2)


# -- wait_for -----------------------------------------------------------------------------------------------


def test_wait_for_takes_lists_nested_lists_and_generators() -> None:
    order: list[str] = []
    gate = threading.Event()

    @task
    def first(name: str) -> None:
        gate.wait(20)
        order.append(name)

    @task
    def last() -> None:
        order.append("last")

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        a, b, c = first.submit("a"), first.submit("b"), first.submit("c")
        last.submit(wait_for=(x for x in [a, [b, {"k": (c,)}]]))
        gate.set()

    assert f(return_state=True).is_completed()
    assert order[-1] == "last"
    assert len(order) == 4


@pytest.mark.parametrize("how", ["submit", "call", "map", "flow"])
def test_a_bare_future_as_wait_for_is_refused(how: str) -> None:
    @flow
    def child() -> None: ...

    @flow
    def f() -> Any:
        future = add.submit(1)
        with pytest.raises(TypeError, match=r"wait_for=\[future\]"):
            {
                "submit": lambda: add.submit(1, wait_for=future),
                "call": lambda: add(1, wait_for=future),
                "map": lambda: add.map([1], wait_for=future),
                "flow": lambda: child(wait_for=future),
            }[how]()
        return 1

    assert f() == 1


# -- the record ---------------------------------------------------------------------------------------------


def test_dependencies_are_recorded_by_parameter(record: Record) -> None:
    @task
    def many(a: Any, *rest: Any, key: Any = None, **more: Any) -> None: ...

    @flow
    def f() -> None:
        one, two, three = add.submit(1), add.submit(2), add.submit(3)
        many.submit(one, [two], key={"k": three}, extra=one, wait_for=[two])
        many(one.wait(), quote(two), key=unmapped(three))

    f()
    edges = [set(e["inputs"]) for e in record.of_kind(events.TASK) if e["inputs"]]
    assert edges == [
        {("a", None, 1), ("rest", None, 2), ("key", None, 3), ("more", None, 1),
         ("wait_for", None, 2)},
        {("a", None, 1), ("key", None, 3)},
    ]  # fmt: skip


def test_a_future_of_the_parent_run_is_an_upstream_in_the_child(record: Record) -> None:
    release = threading.Event()

    @task
    def slow() -> int:
        release.wait(20)
        return 5

    @flow(task_runner=SequentialTaskRunner())
    def child(held: Any) -> Any:
        release.set()
        return add.submit(held[0]).result(), threading.get_ident()

    @flow(task_runner=ConcurrentTaskRunner())
    def parent() -> Any:
        return child(quote([slow.submit()])), threading.get_ident()

    (value, inner), outer = parent()
    assert (value, inner) == (6, outer)
    above = record.of_kind(events.RUN)[0]
    (edge,) = [e["inputs"] for e in record.of_kind(events.TASK) if e["inputs"]]
    assert edge == (("x", above["uid"], 1),)


def test_looking_through_large_inputs_is_warned_of() -> None:
    @flow
    def f(big: Any) -> None:
        same.submit(big)

    big = [[i] for i in range(100_000)]
    with run_in_memory(input_warning_seconds=0.011) as record:
        f(quote(big))
        assert any("Wrap large inputs" in text for text in record.logs)
    for quiet in (0, 1000):
        with run_in_memory(input_warning_seconds=quiet) as record:
            f(quote(big))
            assert not any("Wrap large inputs" in text for text in record.logs)


def test_find_and_replace_do_not_call_user_code() -> None:
    class Loud:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        def __hash__(self) -> int:
            return 1

        def __bool__(self) -> bool:
            raise RuntimeError("truth")

    value = {"a": [Loud(), {Loud()}]}
    assert nested.find(value) == []
    assert nested.replace(value, lambda item: item) is value


def test_what_is_shared_with_earlier_submissions_is_one_thing_within_one_submission() -> None:
    many = [[1], *range(5000)]
    snapshots = Snapshots()
    earlier = snapshots.as_they_are({"a": many})["a"]
    for given in ({"a": many, "in": {"a": many}}, {"in": {"a": many}, "a": many}):
        taken = snapshots.as_they_are(dict(given))
        assert taken["in"]["a"] is taken["a"]
    assert snapshots.as_they_are({"a": many})["a"] is earlier
