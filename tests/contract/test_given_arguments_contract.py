"""What every task runner does with arguments: what is submitted is what it was then."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest

from flowdeck import flow, quote, task, unmapped
from flowdeck.task_runners import BaseTaskRunner

pytestmark = pytest.mark.timeout(120)


@task
def first() -> int:
    return 1


@task
def same(value: Any, after: Any = None) -> Any:
    return value


@task
def total(values: list[int]) -> int:
    return 1 + sum(values)


@task
def spoil(rows: list[Any], after: Any = None) -> list[Any]:
    rows.append("spoiled")
    rows[0].clear()
    return rows


@task
async def same_async(value: Any, after: Any = None) -> Any:
    return value


@dataclass
class Held:
    futures: list[Any]


def test_a_list_that_takes_in_the_futures_of_what_it_is_given_to(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures: list[Any] = []
        for _ in range(5):
            futures.append(total.submit(futures))
        return [future.result() for future in futures]

    assert f() == [1, 2, 4, 8, 16]


def test_containers_are_what_they_were_when_they_were_submitted(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        start = first.submit()
        rows, by_name = [1, [2]], {"a": {"b": 3}}
        ordered, several, held = OrderedDict(x=[1]), {1}, Held([start])
        given = [rows, by_name, ordered, several, (rows,), held]
        future = same.submit(given, after=start)
        child = same.submit(given)
        rows.append("late")
        rows[1].append("late")  # type: ignore[union-attr]
        by_name["a"]["late"] = 4
        ordered["x"].append(2)
        several.add(2)
        held.futures.append("late")
        given.append("late")
        return quote([future.result(), child.result()])

    rows = [1, [2]]
    for got in f().unquote():
        assert got == [rows, {"a": {"b": 3}}, OrderedDict(x=[1]), {1}, (rows,), Held([1])]


def test_what_two_arguments_share_stays_one_thing(runner: BaseTaskRunner) -> None:
    @task
    def are_one(a: Any, b: Any, c: Any) -> Any:
        return a is b, c["a"] is a, a[0] is b[0]

    @flow(task_runner=runner)
    def f() -> Any:
        many = [[1], *range(5000)]
        few: list[Any] = [[1]]
        found = []
        for rows in (few, many):
            futures = [are_one.submit(rows, rows, {"a": rows}) for _ in range(2)]
            found += [future.result() for future in futures]
        return found

    assert f()[0] == (True, True, True)
    assert [each[0] and each[2] for each in f()] == [True] * 4


def test_what_is_mapped_over_is_what_it_was(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        items, whole = [[1], [2]], {"k": [3]}
        futures = same.map(items, after=unmapped(whole))
        wholes = same.map(unmapped(whole), after=[1, 2])
        items[0].append("late")
        whole["k"].append("late")  # type: ignore[arg-type]
        return [future.result() for future in futures + wholes]

    assert f() == [[1], [2], {"k": [3]}, {"k": [3]}]


def test_no_run_sees_what_another_one_does_to_its_arguments(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        few, many = [{"a": 1}], [{"a": 1}, *range(5000)]
        ends = []
        for rows in (few, many):
            before = first.submit()
            futures = [spoil.submit(rows, after=before) for _ in range(3)]
            futures += spoil.map(unmapped(rows), after=[1, 2])
            ends += [future.result()[:1] + future.result()[-1:] for future in futures]
        return quote((ends, few, many[:1], len(many)))

    ends, few, start, length = f().unquote()
    assert ends == [[{}, "spoiled"]] * 10
    assert few == [{"a": 1}]
    assert (start, length) == ([{"a": 1}], 5001)


@pytest.mark.anyio
async def test_async_submissions_take_what_is_there_when_they_are_written(
    runner: BaseTaskRunner,
) -> None:
    @flow(task_runner=runner)
    async def f() -> Any:
        rows = [1]
        submission = same_async.submit(rows)
        mapping = same_async.map([rows])
        rows.append("late")
        future, (child,) = await submission, await mapping
        return [await future.result(), await child.result()]

    assert await f() == [[1], [1]]


def test_iterators_among_star_arguments_are_drawn_too(runner: BaseTaskRunner) -> None:
    @task
    def gather(*rest: Any, **named: Any) -> Any:
        return rest, named

    def broken() -> Any:
        yield 1
        raise OSError("torn line")

    def pair() -> Any:
        return (i for i in (1, 2))

    @flow(task_runner=runner)
    def f() -> Any:
        submitted = gather.submit(pair(), 5, key=map(str, [3])).result()
        called = gather(pair(), 5, key=map(str, [3]))
        return quote((submitted, called, str(gather.submit(1, broken()).wait())))

    submitted, called, state = f().unquote()
    assert submitted == called == (([1, 2], 5), {"key": ["3"]})
    assert state.startswith("Failed(")
    assert "torn line" in state


def test_an_iterator_that_raises_fails_the_run_that_it_was_for(runner: BaseTaskRunner) -> None:
    def lines() -> Any:
        yield 1
        raise OSError("torn line")

    @flow(task_runner=runner)
    def f() -> Any:
        submitted = same.submit(lines())
        called = same(lines(), return_state=True)
        with pytest.raises(OSError, match="torn line"):
            same.map(lines())
        return quote((submitted.wait(), called))

    for state in f().unquote():
        assert state.is_failed()
        assert "torn line" in state.message
        assert state.state_details.task_run_id is not None
