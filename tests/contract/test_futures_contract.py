"""What futures tell and do, whichever runner has their runs."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.exceptions import CancelledRun, UnfinishedRun
from flowdeck.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    FutureList,
    as_completed,
    resolve,
    resolve_async,
    wait,
    wait_async,
)

pytestmark = pytest.mark.timeout(120)


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
async def add_async(x: int, y: int = 1) -> int:
    return x + y


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


@task
def sleep(seconds: float) -> None:
    import time

    for _ in range(int(seconds * 100)):
        time.sleep(0.01)


def test_a_future_tells_how_its_run_ended(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        good, bad = add.submit(1), fail.submit()
        after = add.submit(bad)
        assert good.exception() is None
        assert repr(bad.exception()) == "ValueError('boom')"
        assert isinstance(after.exception(), UnfinishedRun)
        assert good.done()
        assert bad.done()
        assert after.done()
        assert good.state.is_completed()
        assert bad.state.is_failed()
        assert not good.cancel()
        return "done"

    assert f() == "done"


def test_a_done_callback_is_called_once_with_the_future(runner: Any) -> None:
    called: list[Any] = []
    all_called = threading.Event()

    def note(future: Any) -> None:
        called.append((future, future.result()))
        if len(called) == 3:
            all_called.set()

    def refuse(future: Any) -> None:
        raise RuntimeError("a callback that raises hurts nobody")

    @flow(task_runner=runner)
    def f() -> Any:
        futures = add.map([1, 2])
        futures[0].add_done_callback(refuse)
        for future in futures:
            future.add_done_callback(note)
        assert futures.result() == [2, 3]
        futures[0].add_done_callback(note)
        assert all_called.wait(20)
        assert sorted(value for _, value in called) == [2, 2, 3]
        assert {future for future, _ in called} == set(futures)
        return "done"

    assert f() == "done"


def test_futures_come_as_they_are_completed_and_resolve_where_they_are(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        futures = add.map(range(5))
        assert isinstance(futures, FutureList)
        assert sorted(future.result() for future in as_completed(futures)) == [1, 2, 3, 4, 5]
        assert [state.is_completed() for state in futures.wait()] == [True] * 5
        assert wait(futures) == (set(futures), set())
        assert wait([futures[0], fail.submit()], return_when=FIRST_EXCEPTION).done
        nested = {"all": futures, "one": (futures[0], [futures[1].state])}
        assert resolve(nested) == {"all": [1, 2, 3, 4, 5], "one": (1, [2])}
        assert add.submit(futures, [0]).result() == [1, 2, 3, 4, 5, 0]
        return "done"

    assert f() == "done"


@pytest.mark.anyio
async def test_futures_are_awaited_on_a_loop(runner: Any) -> None:
    @flow(task_runner=runner)
    async def f() -> Any:
        one, other = await add_async.submit(1), add.submit(2)
        assert (await one, await other) == (2, 3)
        assert await one.exception() is None
        mapped = await add_async.map(range(3))
        assert await mapped.result() == [1, 2, 3]
        assert all(state.is_completed() for state in await mapped.wait())
        ended = [await future async for future in as_completed([*mapped, other])]
        assert sorted(ended) == [1, 2, 3, 3]
        assert (await wait_async(mapped, return_when=FIRST_COMPLETED)).done
        assert await resolve_async({"all": mapped, "other": other}) == {
            "all": [1, 2, 3],
            "other": 3,
        }
        return "done"

    assert await f() == "done"


def test_a_cancelled_run_says_so_and_the_others_go_on(overlapping: Any) -> None:
    @flow(task_runner=overlapping)
    def f() -> Any:
        slow, quick = sleep.submit(30), add.submit(1)
        assert wait([slow, quick], return_when=FIRST_COMPLETED) == ({quick}, {slow})
        with pytest.raises(TimeoutError, match="1 of 2 task runs had not ended"):
            list(as_completed([quick, slow], timeout=0.05))
        assert not slow.done()
        assert slow.cancel()
        assert isinstance(slow.exception(), CancelledRun)
        assert slow.state.is_cancelled()
        return quick.result()

    assert f() == 2
