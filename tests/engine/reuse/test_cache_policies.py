"""Cache policies: what a key is made of, how they are put together, and which mistakes are told."""

from __future__ import annotations

import pickle
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CachePolicy,
)
from flowdeck.tasks import task_input_hash
from flowdeck_store import events

if TYPE_CHECKING:
    from flowdeck.testing import Record


def add(x: int, y: int = 1) -> int:
    return x + y


def subtract(x: int, y: int = 1) -> int:
    return x - y


def key(policy: CachePolicy, fn: Any = add, name: str = "pkg.add", **more: Any) -> str | None:
    arguments = more.pop("arguments", {"x": 1, "y": 2})
    info = SimpleNamespace(parameters=more.pop("parameters", {"day": 1}))
    run = SimpleNamespace(flow_run_id=more.pop("uid", "one"), info=info)
    context = SimpleNamespace(task=SimpleNamespace(fn=fn, key=name), task_run=run)
    return policy(context, arguments)


OTHER: dict[str, dict[str, Any]] = {
    "inputs": {"arguments": {"x": 1, "y": 3}},
    "source": {"fn": subtract},
    "run": {"uid": "two"},
    "parameters": {"parameters": {"day": 2}},
    "task": {"name": "pkg.other"},
}


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (INPUTS, "inputs"),
        (TASK_SOURCE, "source"),
        (RUN_ID, "run"),
        (FLOW_PARAMETERS, "parameters"),
        (INPUTS + TASK_SOURCE, "inputs source"),
        (DEFAULT, "inputs source run"),
        (DEFAULT + FLOW_PARAMETERS, "inputs source run parameters"),
        (INPUTS - "y" + RUN_ID, "run"),
        (INPUTS + NO_CACHE, "inputs"),
        (NONE + INPUTS, "inputs"),
    ],
    ids=repr,
)
def test_a_key_changes_with_what_counts_and_always_with_the_task(
    policy: CachePolicy, counts: str
) -> None:
    one = key(policy)
    assert one is not None
    assert one == key(policy)
    changes = {name for name, changed in OTHER.items() if key(policy, **changed) != one}
    assert changes == {*counts.split(), "task"}


def test_inputs_and_source_give_the_key_of_task_input_hash() -> None:
    context: Any = SimpleNamespace(task=SimpleNamespace(fn=add, key="pkg.add"))
    assert (INPUTS + TASK_SOURCE)(context, {"x": 1}) == task_input_hash(context, {"x": 1})


def test_the_order_of_a_sum_does_not_count() -> None:
    assert key(RUN_ID + INPUTS + TASK_SOURCE) == key(DEFAULT)
    assert DEFAULT == RUN_ID + TASK_SOURCE + INPUTS + INPUTS


def test_policies_show_what_they_are_made_of() -> None:
    policy = DEFAULT - "connection" - "log"
    assert repr(policy) == "INPUTS - 'connection' - 'log' + TASK_SOURCE + RUN_ID"
    assert repr(NO_CACHE) == "NO_CACHE"
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_a_function_can_be_part_of_a_policy() -> None:
    own = CachePolicy.from_cache_key_fn(lambda context, arguments: f"day {arguments['x']}")
    assert key(own, arguments={"x": 1, "y": 1}) == key(own, arguments={"x": 1, "y": 2})
    assert key(own) != key(own + TASK_SOURCE) != key(TASK_SOURCE)
    assert key(CachePolicy.from_cache_key_fn(lambda context, arguments: None) + INPUTS) is None
    with pytest.raises(TypeError, match="must return a str"):
        key(CachePolicy.from_cache_key_fn(lambda context, arguments: 3))  # type: ignore[arg-type, return-value]


# -- mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mistake", "error", "told"),
    [
        (lambda: INPUTS + task_input_hash, TypeError, "CachePolicy.from_cache_key_fn"),
        (lambda: INPUTS - ["x", "y"], TypeError, "one at a time: INPUTS - 'first' - 'second'"),
        (lambda: TASK_SOURCE - "x", ValueError, "there are no INPUTS of which to leave one out"),
        (lambda: task(cache_policy=task_input_hash)(add), TypeError, "is given as cache_key_fn"),
        (lambda: task(cache_policy="INPUTS")(add), TypeError, "got str: 'INPUTS'"),
        (lambda: task(cache_policy=INPUTS - "z")(add), ValueError, r"its parameters \(x, y\)"),
        (lambda: task(cache_policy=INPUTS - "connexion")(lambda connection: 1), ValueError,
         "Did you mean 'connection'"),
    ],
)  # fmt: skip
def test_mistakes_are_told_where_they_are_made(mistake: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        mistake()


def by_day(context: Any, arguments: dict[str, Any]) -> str:
    return "today"


def test_a_key_function_comes_before_a_policy_and_that_is_told() -> None:
    with pytest.warns(UserWarning, match="the cache_key_fn holds"):
        both = task(cache_key_fn=by_day, cache_policy=INPUTS)(add)
    assert (both.cache_key_fn, both.cache_policy) == (by_day, None)


def test_a_policy_whose_results_are_not_kept_is_told() -> None:
    with pytest.warns(UserWarning, match="persist_result=False: nothing is kept"):
        task(cache_policy=INPUTS, persist_result=False)(add)


def test_of_the_two_options_the_new_one_holds_in_a_copy() -> None:
    of_function = task(cache_key_fn=by_day)(add)
    of_policy = of_function.with_options(cache_policy=INPUTS)
    assert (of_policy.cache_key_fn, of_policy.cache_policy) == (INPUTS, INPUTS)
    assert of_policy.with_options(name="same").cache_policy == INPUTS
    assert of_policy.with_options(cache_policy=None).cache_policy == INPUTS
    back = of_policy.with_options(cache_key_fn=by_day)
    assert (back.cache_key_fn, back.cache_policy) == (by_day, None)
    for cached in (of_function, of_policy):
        assert cached.with_options(cache_policy=NO_CACHE).cache_key_fn is None


# -- runs ---------------------------------------------------------------------------------------------------


def test_runs_are_cached_by_their_policy(record: Record) -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS - "lock")
    def square(n: int, lock: Any) -> int:
        calls.append(n)
        return n * n

    @flow
    def f() -> list[int]:
        return [square(n, threading.Lock()) for n in (2, 3, 2)]

    assert (f(), f(), calls) == ([4, 9, 4], [4, 9, 4], [2, 3])


def test_default_holds_inside_of_one_flow_run(record: Record) -> None:
    @task(cache_policy=DEFAULT)
    def square(n: int) -> int:
        return n * n

    @flow
    def f() -> list[int]:
        return [square.submit(n).result() for n in (2, 2)]

    for _ in range(2):
        assert f() == [4, 4]
    found = [each for each in record.of_kind(events.STATE) if each["name"] == "Cached"]
    assert len({each["uid"] for each in found}) == len(found) == 2


def test_parameters_of_the_flow_count_as_the_flow_was_given_them(record: Record) -> None:
    calls: list[str] = []

    @task(cache_policy=FLOW_PARAMETERS)
    def load() -> int:
        calls.append("load")
        return len(calls)

    @flow
    def f(day: str) -> int:
        return load()

    assert ([f("mon"), f("tue"), f("mon")], len(calls)) == ([1, 2, 1], 2)


@pytest.mark.parametrize("policy", [INPUTS, DEFAULT])
def test_what_cannot_be_hashed_is_not_cached_and_the_log_says_so(
    policy: CachePolicy, record: Record
) -> None:
    @task(cache_policy=policy)
    def locked(lock: Any) -> int:
        return 1

    @flow
    def f() -> int:
        lock = threading.Lock()
        return locked(lock) + locked(lock)

    assert f() == 2
    assert sum(each.startswith("Not cached: an argument cannot be pickled") for each in record.logs) == 2  # fmt: skip


def test_parameters_of_the_flow_that_cannot_be_hashed_are_told(record: Record) -> None:
    @task(cache_policy=FLOW_PARAMETERS)
    def load() -> int:
        return 1

    @flow(validate_parameters=False)
    def f(lock: Any) -> int:
        return load()

    assert f(threading.Lock()) == 1
    assert any("Not cached: a parameter of the flow cannot be pickled" in line for line in record.logs)  # fmt: skip
