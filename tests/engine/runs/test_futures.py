"""Futures: waiting, results, states, truth."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.futures import TaskFuture
from flowdeck.task_runners import ConcurrentTaskRunner
from flowdeck.testing import Record

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


def test_a_future_tells_its_name_run_and_key() -> None:
    @flow
    def f() -> Any:
        future = add.submit(1)
        assert isinstance(future, TaskFuture)
        assert str(type(future)) == "<class 'flowdeck.futures.TaskFuture'>"
        assert future.task_run.name == future.name
        assert future.key == future.task_run.id
        assert not future.asynchronous
        assert repr(future) == f"TaskFuture({future.name!r})"
        assert future in {future: 1}
        assert future == TaskFuture(future.task_run)
        assert future != add.submit(1)
        return future.name

    assert f().startswith("add-")


def test_wait_gives_none_only_when_the_time_is_up_and_states_are_truthy() -> None:
    release = threading.Event()

    @task
    def slow() -> int:
        release.wait(20)
        return 7

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        future = slow.submit()
        assert future.wait(0.01) is None
        assert future.wait(0) is None
        assert not future.get_state().is_final()
        with pytest.raises(TimeoutError, match=r"Call timed out before task finished\."):
            future.result(timeout=0.01)
        release.set()
        state = future.wait(20)
        assert state
        assert future.wait() is state
        assert future.wait(0) is state
        return state.result(), future.result(timeout=0)

    assert f() == (7, 7)


def test_a_time_limit_on_waiting_never_stops_the_task() -> None:
    release = threading.Event()
    done = []

    @task
    def slow() -> None:
        release.wait(20)
        done.append(1)

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> str:
        slow.submit().wait(0.001)
        release.set()
        return "not waited for"

    assert f() == "not waited for"
    assert done == [1]


def test_result_raises_the_original_exception_with_its_traceback() -> None:
    class Own(Exception): ...

    error = Own("a", 1)

    @task
    def bad() -> None:
        raise error

    @flow
    def f() -> Any:
        future = bad.submit()
        for _ in range(2):
            with pytest.raises(Own) as caught:
                future.result()
            assert caught.value is error
            assert any(entry.name == "bad" for entry in caught.traceback)
        assert future.result(raise_on_failure=False) is error
        return "went on"

    assert f() == "went on"


def test_a_future_as_truth_value_warns_and_is_true() -> None:
    @flow
    def f() -> Any:
        future = add.submit(1)
        with pytest.warns(UserWarning, match="cast to a boolean; did you mean to check") as caught:
            assert bool(future)
        assert caught[0].filename == __file__
        return 1

    assert f() == 1


def test_a_future_in_other_code_is_only_an_object() -> None:
    @flow
    def f() -> Any:
        future = add.submit(1)
        return f"{future}" == repr(future), len([future])

    assert f() == (True, 1)


def test_a_future_cannot_be_pickled_and_says_what_to_do() -> None:
    @flow
    def f() -> Any:
        with pytest.raises(TypeError, match=r"pass `future\.result\(\)`"):
            pickle.dumps(add.submit(1))
        return 1

    assert f() == 1


def test_many_threads_may_wait_for_one_future() -> None:
    release = threading.Event()

    @task
    def slow() -> int:
        release.wait(20)
        return 5

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        future = slow.submit()
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(future.result())) for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        release.set()
        for thread in threads:
            thread.join()
        return found

    assert f() == [5] * 20


def test_states_seen_on_the_way_are_those_of_the_run() -> None:
    gate = threading.Event()

    @task
    def first() -> None:
        gate.wait(20)

    @flow(task_runner=ConcurrentTaskRunner(max_workers=5))
    def f() -> Any:
        one = first.submit()
        two = add.submit(1, wait_for=[one])
        deadline = time.monotonic() + 20
        while not one.get_state().is_running():
            assert time.monotonic() < deadline
            time.sleep(0.001)
        waiting = two.get_state().name
        gate.set()
        two.wait()
        return waiting, two.get_state().name

    assert f() == ("Pending", "Completed")


@pytest.mark.anyio
async def test_futures_of_async_tasks_in_async_flows_are_awaited() -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    @task
    async def slow() -> int:
        while not release.is_set():
            await asyncio.sleep(0.001)
        return 3

    @flow
    async def f() -> Any:
        future = await slow.submit()
        assert future.asynchronous
        assert await future.wait(0.01) is None
        with pytest.raises(TimeoutError, match=r"Call timed out before task finished\."):
            await future.result(timeout=0.01)
        loop.call_soon(release.set)
        return await future.result(), (await future.wait()).name, (await future.get_state()).name

    assert await f() == (3, "Completed", "Completed")


@pytest.mark.anyio
async def test_awaiting_a_future_may_be_cancelled() -> None:
    release = threading.Event()

    @task
    async def slow() -> int:
        while not release.is_set():
            await asyncio.sleep(0.001)
        return 3

    @flow
    async def f() -> Any:
        future = await slow.submit()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future.result()
        release.set()
        return await future.result()

    assert await f() == 3


def test_what_is_returned_from_a_flow_still_works_after_it(record: Record) -> None:
    kept: list[Any] = []

    @flow
    def f() -> Any:
        kept.append(add.submit(1))
        return kept[0]

    state = f()
    assert state.result() == 2
    assert kept[0].result() == 2
    assert kept[0].wait() == state
