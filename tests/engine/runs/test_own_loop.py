"""Async tasks that an async flow submits under the concurrent runner run on the flow's own loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import run_in_memory


@pytest.fixture(autouse=True)
def _in_memory() -> Any:
    with run_in_memory():
        yield


@pytest.fixture(params=[ConcurrentTaskRunner(), ConcurrentTaskRunner(max_workers=2)])
def runner(request: pytest.FixtureRequest) -> Any:
    return request.param


@task
def plus(x: int, y: int = 1) -> int:
    return x + y


@task
async def plus_async(x: int, y: int = 1) -> int:
    await asyncio.sleep(0.01)
    return x + y


@pytest.mark.parametrize("chosen", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_a_lock_is_shared_by_the_flow_and_its_tasks(chosen: BaseTaskRunner) -> None:
    inside = 0

    @flow(task_runner=chosen)
    async def shares() -> list[int]:
        lock = asyncio.Lock()

        @task
        async def alone(x: int) -> int:
            nonlocal inside
            async with lock:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                inside -= 1
            return x

        futures = [await alone.submit(i) for i in range(5)]
        more = await alone.map([5, 6])
        return [await future.result() for future in futures + more]

    assert asyncio.run(shares()) == list(range(7))  # type: ignore[arg-type]


def test_an_event_of_the_flow_wakes_its_tasks_also_behind_others(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    async def wakes() -> int:
        event = asyncio.Event()

        @task
        async def waits(x: int) -> int:
            await event.wait()
            return x

        @task
        async def fans_out(x: int) -> int:
            return await (await waits.submit(x)).result()

        first = await plus_async.submit(1)
        second = await waits.submit(first)  # starts when another one has ended
        third = await fans_out.submit(2)
        await asyncio.sleep(0.05)
        event.set()
        return await second.result() + await third.result()

    assert asyncio.run(wakes()) == 4  # type: ignore[arg-type]


def test_a_flow_that_blocks_its_loop_gets_what_has_not_started(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    async def blocks() -> list[Any]:
        number = await plus_async.submit(1)
        behind = await plus_async.submit(number)
        total = plus.submit(behind).result()  # a sync task: this blocks the loop
        called = plus(await plus_async.submit(5))
        return [total, called, [f.result() for f in plus.map([await plus_async.submit(7)])]]

    assert asyncio.run(blocks()) == [4, 7, [9]]  # type: ignore[arg-type]


def test_a_sync_subflow_gets_the_value_of_what_has_not_started(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    def child(x: int) -> int:
        return plus(x)

    @flow(task_runner=runner)
    async def blocks() -> int:
        return child(await plus_async.submit(1))

    assert asyncio.run(blocks()) == 3  # type: ignore[arg-type]


def test_a_wait_that_would_never_end_is_refused(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    async def blocks() -> str:
        started = await plus_async.submit(1)
        await asyncio.sleep(0.001)
        behind = plus.submit(await plus_async.submit(started))
        with pytest.raises(RuntimeError, match="blocks the event loop until") as refused:
            behind.result()
        assert await asyncio.to_thread(behind.result) == 4
        return str(refused.value)

    assert "asyncio.to_thread" in asyncio.run(blocks())  # type: ignore[arg-type]


def test_tasks_that_a_sync_flow_submits_run_on_a_loop_of_the_engines(
    runner: BaseTaskRunner,
) -> None:
    @task
    async def where() -> str:
        return threading.current_thread().name

    @flow(task_runner=runner)
    def sync_flow() -> str:
        return where.submit().result()

    assert sync_flow().startswith("flowdeck-async")


def test_an_async_subflow_of_a_sync_flow_has_a_loop_of_its_own(runner: BaseTaskRunner) -> None:
    @flow(task_runner=runner)
    async def child() -> bool:
        here = asyncio.get_running_loop()

        @task
        async def same() -> bool:
            return asyncio.get_running_loop() is here

        return await (await same.submit()).result()

    @flow(task_runner=runner)
    def parent() -> bool:
        return child()  # type: ignore[return-value]

    assert parent() is True
    assert asyncio.run(child()) is True  # type: ignore[arg-type]
