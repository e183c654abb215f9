"""Tasks called like functions inside flows, and tasks and flows that call tasks and flows."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from flowdeck import flow, get_run_logger, quote, runtime, task
from flowdeck.exceptions import UnfinishedRun
from flowdeck.states import State
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]

LOCAL = [
    SequentialTaskRunner(),
    ConcurrentTaskRunner(),
    ConcurrentTaskRunner(max_workers=1),
]


@pytest.fixture(params=LOCAL, ids=["sequential", "concurrent", "concurrent-1"])
def runner(request: pytest.FixtureRequest) -> Any:
    return request.param


@task
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@task
async def add_async(x: Any, y: Any = 1) -> Any:
    await asyncio.sleep(0)
    return x + y


@task
def fail(text: str = "boom") -> None:
    raise ValueError(text)


# -- in a flow ----------------------------------------------------------------------------------------


def test_a_direct_call_returns_the_value_and_is_recorded(record: Record, runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        value = add(1, y=2)
        assert value == 3
        return threading.get_ident()

    assert f() == threading.get_ident()
    assert record.state_names("add") == ["Pending", "Running", "Completed"]


def test_a_direct_call_runs_on_the_flows_own_thread(runner: Any) -> None:
    @task
    def where() -> int:
        return threading.get_ident()

    @flow(task_runner=runner)
    def f() -> Any:
        return where()

    assert f() == threading.get_ident()


def test_a_direct_call_raises_what_the_task_raised() -> None:
    @flow
    def f() -> Any:
        with pytest.raises(ValueError, match="own"):
            fail("own")
        state = fail("own", return_state=True)
        assert isinstance(state, State)
        return state.name, add(1, return_state=True).result()

    assert f() == ("Failed", 2)


def test_an_uncaught_failure_of_a_direct_call_fails_the_flow() -> None:
    @flow
    def f() -> None:
        fail()

    state = f(return_state=True)
    assert state.message == "Flow run encountered an exception. ValueError: boom"


def test_the_value_of_a_direct_call_is_no_future() -> None:
    @flow
    def f() -> Any:
        return add(1).result()

    with pytest.raises(AttributeError, match="'int' object has no attribute 'result'"):
        f()


def test_a_direct_call_waits_for_its_upstreams() -> None:
    @flow
    def f() -> Any:
        future = add.submit(1)
        return add(future, future), add(5, wait_for=[future])

    assert f() == (4, 6)


def test_a_direct_call_after_a_failed_upstream_raises_unfinished_run(record: Record) -> None:
    @flow
    def f() -> Any:
        bad = fail.submit()
        for call in (lambda: add(bad), lambda: add(1, wait_for=[bad])):
            with pytest.raises(
                UnfinishedRun, match=r"Run is in PENDING state, its result is not available\."
            ):
                call()
        return add(bad, return_state=True).name

    assert f() == "NotReady"
    assert record.state_names("add") == ["Pending", "NotReady"]


def test_a_base_exception_of_a_direct_call_crashes_the_flow(record: Record) -> None:
    class Odd(BaseException): ...

    @task
    def crash() -> None:
        raise Odd("why")

    @flow
    def f() -> None:
        crash()

    for return_state in (False, True):
        with pytest.raises(Odd, match="why"):
            f(return_state=return_state)
    assert record.state_names("crash") == ["Pending", "Running", "Crashed"]
    assert record.state_names("f") == ["Pending", "Running", "Crashed"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_ctrl_c_in_a_direct_call_crashes_task_and_flow(record: Record, asynchronous: bool) -> None:
    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    @task
    async def interrupted_async() -> None:
        raise KeyboardInterrupt

    @flow
    def f() -> None:
        interrupted_async() if asynchronous else interrupted()

    with pytest.raises(KeyboardInterrupt):
        f(return_state=True)
    message = "Execution was aborted by an interrupt signal."
    ends = [e["msg"] for e in record.of_kind(events.STATE) if e["code"] == 5]
    assert ends == [message, message]
    assert f"Crash detected! {message}" in record.logs


def test_the_default_flow_run_of_a_direct_call_counts_for_the_final_state() -> None:
    @flow
    def f() -> None:
        add(1)
        fail(return_state=True)

    assert f(return_state=True).message == "1/2 states failed."


# -- async ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_calls_in_an_async_flow(runner: Any) -> None:
    @flow(task_runner=runner)
    async def f() -> Any:
        future = await add_async.submit(1)
        plain = add.submit(future)
        state = await add_async(plain, return_state=True)
        assert isinstance(plain.result(), int)
        return [
            await future.result(),
            plain.result(),
            await state.result(),
            await add_async(1),
            add(1),
            (await future.wait()).name,
            (await future.get_state()).name,
            await (await add_async.submit(2)).result(timeout=20),
            (await add_async.submit(2, return_state=True)).name,
            [await x.result() for x in await add_async.map([1, 2])],
            [x.result() for x in add.map([1, 2])],
            [x.name for x in await add_async.map([1, 2], return_state=True)],
        ]

    assert await f() == [
        2, 3, 4, 2, 2, "Completed", "Completed", 3, "Completed", [2, 3], [2, 3],
        ["Completed", "Completed"],
    ]  # fmt: skip


@pytest.mark.anyio
async def test_gathered_direct_calls_overlap() -> None:
    both = asyncio.Event()
    inside = 0

    @task
    async def meet() -> None:
        nonlocal inside
        inside += 1
        if inside == 3:
            both.set()
        await asyncio.wait_for(both.wait(), 20)

    @flow(task_runner=SequentialTaskRunner())
    async def f() -> None:
        await asyncio.gather(meet(), meet(), meet())

    assert (await f(return_state=True)).message == "All states completed."


@pytest.mark.anyio
async def test_gathered_submits_are_created_in_order(record: Record) -> None:
    @flow(task_runner=ConcurrentTaskRunner())
    async def f() -> Any:
        futures = await asyncio.gather(*[add_async.submit(i) for i in range(20)])
        return [await future.result() for future in futures]

    assert await f() == list(range(1, 21))
    names = [e["name"].rpartition("-")[2] for e in record.of_kind(events.TASK)]
    assert names == [str(i) for i in range(20)]


@pytest.mark.anyio
async def test_a_sync_helper_in_a_thread_of_an_async_flow_gets_plain_values() -> None:
    import anyio.to_thread

    def helper() -> Any:
        future = add_async.submit(1)
        return add_async(1), future.result()

    @flow
    async def f() -> Any:
        return await anyio.to_thread.run_sync(helper)

    assert await f() == (2, 2)


def test_async_tasks_in_a_sync_flow_give_values_and_plain_futures(runner: Any) -> None:
    @flow(task_runner=runner)
    def f() -> Any:
        future = add_async.submit(1)
        return add_async(1), future.result(), future.wait().name, add(add_async.submit(3))

    assert f() == (2, 2, "Completed", 5)


# -- tasks that call tasks ------------------------------------------------------------------------------


def test_a_task_may_call_submit_and_map(runner: Any, record: Record) -> None:
    @task
    def outer(x: int) -> Any:
        futures = add.map([x, x + 1])
        direct = add(x)
        waited = add.submit(x, wait_for=futures)
        return direct, [f.result() for f in futures], waited.result()

    @flow(task_runner=runner)
    def f() -> Any:
        return [x.result() for x in outer.map([1, 10])]

    assert f() == [(2, [2, 3], 2), (11, [11, 12], 11)]
    assert len({e["uid"] for e in record.of_kind(events.RUN)}) == 1


def test_tasks_may_call_tasks_to_any_depth(runner: Any) -> None:
    @task
    def fib(n: int) -> int:
        if n < 2:
            return n
        first = fib.submit(n - 1)
        value: int = fib(n - 2) + first.result()
        return value

    @flow(task_runner=runner)
    def f() -> Any:
        return fib.submit(8).result()

    assert f() == 21


def test_a_directly_called_task_that_submits_gives_the_place_of_its_caller_back(
    runner: Any,
) -> None:
    @task
    def leaf(x: int) -> int:
        return x

    @task
    def inner(x: int) -> Any:
        return leaf.submit(x).result()

    @task
    def outer(x: int) -> Any:
        return inner(x)

    @flow
    def child(x: int) -> Any:
        return inner(x)

    @task
    def calls_flow(future: Any) -> Any:
        return child(future)

    @flow(task_runner=runner)
    def f() -> Any:
        first = [x.result() for x in outer.map(range(4))]
        return first, [x.result() for x in calls_flow.map(range(3))]

    assert f() == ([0, 1, 2, 3], [0, 1, 2])


def test_async_tasks_may_call_and_submit_tasks(runner: Any) -> None:
    @task
    async def outer(x: int) -> Any:
        futures = await asyncio.gather(add_async.submit(x), add_async.submit(x + 1))
        nested = [await future.result() for future in futures]
        blocking = add.submit(x).result()
        by_future = add(await add_async.submit(100))
        return nested, blocking, await add_async(x), add(x), by_future

    @flow(task_runner=runner)
    def f() -> Any:
        return [x.result() for x in outer.map([1, 10])]

    assert f() == [([2, 3], 2, 2, 2, 102), ([11, 12], 11, 11, 11, 102)]


def test_a_blocked_loop_takes_no_place_from_what_would_free_it() -> None:
    @task
    async def outer(x: int) -> Any:
        first, second = await asyncio.gather(add_async.submit(x), add_async.submit(x + 1))
        return await first.result(), add(await add_async.submit(second)), add.submit(x).result()

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> Any:
        return [x.result() for x in outer.map([1, 10])]

    for _ in range(100):  # which of them waits for which one is a matter of chance
        assert f() == [(2, 5, 2), (11, 14, 11)]


def test_sync_code_inside_an_async_task_may_block_on_async_tasks(runner: Any) -> None:
    @task
    def blocking(x: int) -> Any:
        return add_async.submit(x).result() + add_async(x)

    @task
    async def outer(x: int) -> Any:
        other = await add_async.submit(x)
        await asyncio.sleep(0.01)  # the other one may have started on the same loop
        return blocking(x), add(other)

    @task
    async def outermost(x: int) -> Any:
        return outer.fn and await outer(x), await (await outer.submit(x)).result()

    @flow(task_runner=runner)
    def f() -> Any:
        return outermost.submit(1).result()

    assert f() == ((4, 3), (4, 3))


def test_an_async_task_that_blocks_does_not_stop_threads_and_timers() -> None:
    @task(retries=2, retry_delay_seconds=0.01)
    def flaky() -> int:
        if runtime.task_run.run_count < 3:
            raise ValueError
        return 3

    @task
    async def blocks() -> Any:
        return flaky.submit().result(), [f.result() for f in add.map(range(20))]

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def f() -> Any:
        return blocks.submit().result()

    assert f() == (3, list(range(1, 21)))


def test_a_direct_call_inside_a_task_does_not_count_for_the_flow(record: Record) -> None:
    @task
    def careful(how: str) -> str:
        if how == "direct":
            return str(fail(return_state=True).name)
        return str(fail.submit().wait().name)

    @flow
    def f(how: str) -> None:
        careful.submit(how)

    assert f("direct", return_state=True).message == "All states completed."
    assert f("submit", return_state=True).message == "1/2 states failed."


def test_a_task_sees_its_own_run_again_after_a_nested_call() -> None:
    @task
    def inner() -> Any:
        get_run_logger().info("inner")
        return runtime.task_run.task_name

    @task
    def outer() -> Any:
        before = runtime.task_run.task_name
        return before, inner(), inner.submit().result(), runtime.task_run.task_name

    @flow
    def f() -> Any:
        return outer.submit().result()

    assert f() == ("outer", "inner", "inner", "outer")


# -- tasks that call flows --------------------------------------------------------------------------------


def test_a_flow_called_in_a_task_is_a_subflow_of_the_surrounding_run(
    runner: Any, record: Record
) -> None:
    @flow(task_runner=SequentialTaskRunner())
    def child(x: int) -> Any:
        return add.submit(x).result(), runtime.flow_run.parent_flow_run_id

    @task
    def outer(x: int) -> Any:
        value, parent = child(x)
        return value, parent == runtime.flow_run.id, runtime.task_run.task_name

    @flow(task_runner=runner)
    def parent() -> Any:
        return outer.submit(1).result()

    assert parent() == (2, True, "outer")
    above, below = record.of_kind(events.RUN)
    assert below["parent_uid"] == above["uid"]


def test_a_subflow_that_a_task_deals_with_does_not_count_for_the_flow() -> None:
    @flow
    def child() -> None:
        fail()

    @task
    def careful() -> str:
        return str(child(return_state=True).name)

    @flow
    def parent() -> None:
        careful.submit()

    assert parent(return_state=True).message == "All states completed."


def test_async_and_sync_flows_may_be_called_in_async_and_sync_tasks(runner: Any) -> None:
    @flow
    def sync_child(x: int) -> Any:
        return add_async(x), add.submit(x).result()

    @flow
    async def async_child(x: int) -> Any:
        return await add_async(x), add.submit(x).result()

    @task
    def sync_task(x: int) -> Any:
        return sync_child(x), async_child(x)

    @task
    async def async_task(x: int) -> Any:
        return sync_child(x), await async_child(x)

    @flow(task_runner=runner)
    def f() -> Any:
        return sync_task.submit(1).result(), async_task.submit(1).result(), async_task(1)

    pair = ((2, 2), (2, 2))
    assert f() == (pair, pair, pair)


def test_what_a_task_started_is_waited_for(runner: Any, record: Record) -> None:
    @task
    def slow() -> int:
        return 1

    @task
    def starts() -> None:
        for _ in range(5):
            slow.submit()

    @flow(task_runner=runner)
    def f() -> None:
        starts.submit()

    assert f(return_state=True).message == "All states completed."
    done = [e for e in record.of_kind(events.STATE) if e["no"] and e["code"] == 3]
    assert len(done) == 6


def test_quote_hands_states_through() -> None:
    @flow
    def f() -> Any:
        return quote([add(1, return_state=True)])

    assert [s.name for s in f().unquote()] == ["Completed"]


def test_tasks_call_tasks_outside_of_flows_with_what_they_are_given() -> None:
    given = [1]

    @task
    def inner(items: list[int]) -> None:
        items.append(2)

    @task
    def outer(items: list[int]) -> Any:
        inner(items)
        return items

    assert outer(given) is given
    assert given == [1, 2]
