"""Generator functions as tasks and flows, on every task runner: what they yield is the result."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowdeck import flow, quote, task
from flowdeck.task_runners import BaseTaskRunner

pytestmark = pytest.mark.timeout(120)


@task
def numbers(n: int) -> Any:
    yield from range(n)


@task
async def pages(n: int) -> Any:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@task
async def broken() -> Any:
    yield 1
    raise ValueError("half way")


@task(timeout_seconds=0.05)
async def endless() -> Any:
    while True:
        yield 1
        await asyncio.sleep(0.001)


@task
async def handed_on() -> Any:
    return pages.fn(2)


@task
def handed_on_by_sync() -> Any:
    return pages.fn(2)


def test_what_generators_of_a_sync_flow_yield(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures = [task.submit(3) for task in (numbers, pages)]
        others = [handed_on.submit(), handed_on_by_sync.submit()]
        states = [broken.submit().wait(), endless.submit().wait()]
        results = [future.result() for future in futures + others]
        return quote((results, pages(2), [str(state) for state in states]))

    results, called, states = f().unquote()
    assert results == [[0, 1, 2], [0, 1, 2], [0, 1], [0, 1]]
    assert called == [0, 1]
    assert "ValueError: half way" in states[0]
    assert states[1].startswith("TimedOut(")


@pytest.mark.anyio
async def test_what_generators_of_an_async_flow_yield(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    async def f(n: int) -> Any:
        future = await pages.submit(n)
        yield await future.result()
        yield await pages(1)

    assert await f(2) == [[0, 1], [0]]
    with_error = f.with_options(name="bad")
    state = await with_error("x", return_state=True)
    assert state.is_failed()
