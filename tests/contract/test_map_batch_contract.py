"""Runs of a map that travel together behave as those that travel alone, on every runner."""

from __future__ import annotations

from typing import Any

from flowdeck import flow, task
from flowdeck.states import State


@task(map_batch=3)
def double(number: int, other: int = 0) -> int:
    if number == 4:
        raise ValueError("four")
    return number * 2 + other


@task(map_batch=3)
async def double_async(number: int) -> int:
    return number * 2


@task(map_batch=2)
def big(number: int) -> bytes:
    return bytes([number]) * 400_000


@task(map_batch=2)
def length(data: bytes) -> tuple[int, int]:
    return data[0], len(data)


def test_each_has_its_own_value_state_and_dependents(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        states: list[State[int]] = double.map(range(7), return_state=True)
        more = double.map([1, 2, 3], other=double.submit(5))
        again = double_async.map(more).result()
        long = length.map(list(big.map(range(1, 4)))).result()
        return [(s.name, s.result(raise_on_failure=False)) for s in states], again, long

    states, again, long = f()
    assert [name for name, _ in states] == ["Completed"] * 4 + ["Failed"] + ["Completed"] * 2
    assert [value for _, value in states if isinstance(value, int)] == [0, 2, 4, 6, 10, 12]
    assert again == [24, 28, 32]
    assert long == [(1, 400_000), (2, 400_000), (3, 400_000)]
