"""Variables of failed functions do not pile up until the flow run ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any, ClassVar

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import run_in_memory


class Big:
    alive: ClassVar[weakref.WeakSet[Big]] = weakref.WeakSet()

    def __init__(self) -> None:
        self.alive.add(self)


@task
def fails(i: int) -> None:
    big = Big()
    try:
        helper(Big())
    except KeyError as error:
        raise ValueError(i) from error
    del big


def helper(big: Big) -> None:
    raise KeyError


@task
async def fails_async(i: int) -> None:
    big = Big()
    await asyncio.sleep(0)
    if big:
        raise ValueError(i)


def alive() -> int:
    gc.collect()
    return len(Big.alive)


@pytest.fixture(params=[SequentialTaskRunner(), ConcurrentTaskRunner()])
def runner(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("how", ["call", "submit", "state"])
def test_caught_failures_do_not_keep_their_variables(how: str, runner: BaseTaskRunner) -> None:
    def one(i: int) -> Any:
        if how == "call":
            return fails(i)
        return fails.submit(i).result() if how == "submit" else fails(i, return_state=True) and None

    @flow(task_runner=runner)
    def many() -> int:
        for i in range(30):
            try:
                one(i)
            except ValueError:
                pass
        return alive()

    with run_in_memory():
        assert many() <= 8


def test_caught_failures_of_async_tasks_do_not_keep_their_variables(
    runner: BaseTaskRunner,
) -> None:
    @flow(task_runner=runner)
    async def many() -> int:
        for i in range(30):
            try:
                await (await fails_async.submit(i)).result()
            except ValueError:
                pass
        return alive()

    with run_in_memory():
        assert asyncio.run(many()) <= 8  # type: ignore[arg-type]


def test_who_has_the_future_the_state_or_the_exception_has_the_frames(
    runner: BaseTaskRunner,
) -> None:
    def names_of(error: BaseException) -> set[str]:
        names, step = set(), error.__traceback__
        while step is not None:
            names |= set(step.tb_frame.f_locals)
            step = step.tb_next
        return names

    @flow(task_runner=runner)
    def many() -> list[bool]:
        futures = [fails.submit(i) for i in range(10)]
        states = [fails(i, return_state=True) for i in range(10)]
        errors = []
        for i in range(10):
            try:
                fails.submit(i).result()
            except ValueError as error:
                errors.append(error)
        errors += [future.result(raise_on_failure=False) for future in futures]
        errors += [state.result(raise_on_failure=False) for state in states]
        return ["big" in names_of(error) for error in errors]

    with run_in_memory():
        assert many() == [True] * 30
