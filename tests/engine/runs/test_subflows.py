"""Flows called in flows: sync, async, concurrent, recursive, with dependencies."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import anyio
import pytest

from flowdeck import allow_failure, flow, quote, runtime, tags, task
from flowdeck.exceptions import ParameterTypeError, UnfinishedRun, UpstreamTaskError
from flowdeck.states import Cancelled
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record, run_in_memory
from flowdeck_store import events

pytestmark = [pytest.mark.usefixtures("record"), pytest.mark.timeout(60)]


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


@flow
def child(x: Any = 1) -> Any:
    return add.submit(x).result()


@flow
async def child_async(x: Any = 1) -> Any:
    future = await add_async.submit(x)
    return await future.result()


@flow
def bad_child() -> None:
    raise ValueError("from the child")


# -- sync and async ---------------------------------------------------------------------------------------


def test_a_sync_flow_in_a_sync_flow_runs_on_the_same_thread() -> None:
    @flow
    def inner() -> int:
        return threading.get_ident()

    @flow
    def outer() -> Any:
        return inner() == threading.get_ident()

    assert outer()


def test_an_async_flow_in_a_sync_flow_runs_to_its_end() -> None:
    @flow
    def outer() -> Any:
        state = child_async(5, return_state=True)
        return child_async(1), state.name, state.result()

    assert outer() == (2, "Completed", 6)


@pytest.mark.anyio
async def test_an_async_flow_in_a_sync_flow_where_a_loop_runs() -> None:
    @flow
    def outer() -> Any:
        return child_async(1), child(2)

    assert outer() == (2, 3)


@pytest.mark.anyio
async def test_an_async_flow_in_an_async_flow_is_awaited_on_the_same_loop() -> None:
    @flow
    async def inner() -> Any:
        return asyncio.get_running_loop()

    @flow
    async def outer() -> Any:
        state = await inner(return_state=True)
        return await inner(), await state.result()

    loop = asyncio.get_running_loop()
    assert await outer() == (loop, loop)


def test_a_sync_flow_in_an_async_flow_blocks_on_a_thread_of_its_own() -> None:
    @flow
    def inner(x: int) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        return add.submit(x).result(), add_async(x), child_async(x), runtime.flow_run.name

    @flow
    async def outer() -> Any:
        value = inner(1)
        with pytest.raises(ValueError, match="from the child"):
            bad_child()
        return value[:3], value[3] != runtime.flow_run.name

    assert asyncio.run(outer()) == ((2, 2, 2), True)
    assert anyio.run(outer) == ((2, 2, 2), True)


def test_gathered_subflows_run_at_the_same_time(record: Record) -> None:
    inside = 0
    all_in: asyncio.Event

    @flow
    async def meet(x: int) -> Any:
        nonlocal inside
        inside += 1
        if inside == 5:
            all_in.set()
        await asyncio.wait_for(all_in.wait(), 20)
        return await add_async(x), runtime.flow_run.parameters["x"]

    @flow
    async def outer() -> Any:
        nonlocal all_in
        all_in = asyncio.Event()
        return await asyncio.gather(*[meet(x) for x in range(5)])

    assert asyncio.run(outer()) == [(x + 1, x) for x in range(5)]
    assert [e["flow_name"] for e in record.of_kind(events.RUN)] == ["outer"] + ["meet"] * 5


def test_many_gathered_subflows_with_tasks() -> None:
    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    async def inner(x: int) -> Any:
        futures = await add_async.map(range(x, x + 3))
        return sum([await f.result() for f in futures]) + add.submit(x).result()

    @flow
    async def outer() -> Any:
        return sum(await asyncio.gather(*[inner(x) for x in range(40)]))

    assert asyncio.run(outer()) == sum(3 * x + 6 + x + 1 for x in range(40))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_flow_may_call_itself(asynchronous: bool) -> None:
    @flow
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    @flow
    async def factorial_async(n: int) -> int:
        return 1 if n == 0 else n * await factorial_async(n - 1)

    if asynchronous:
        assert asyncio.run(factorial_async(6)) == 720
    else:
        assert factorial(6) == 720


# -- results and failures -----------------------------------------------------------------------------------


def test_a_subflow_gives_its_value_its_exception_or_its_state() -> None:
    @flow
    def outer() -> Any:
        with pytest.raises(ValueError, match="from the child"):
            bad_child()
        state = bad_child(return_state=True)
        return child(1), state.name, state.message

    assert outer() == (
        2, "Failed", "Flow run encountered an exception. ValueError: from the child",
    )  # fmt: skip


def test_an_uncaught_failure_of_a_subflow_fails_the_parent() -> None:
    @flow
    def outer() -> None:
        bad_child()

    state = outer(return_state=True)
    assert state.message == "Flow run encountered an exception. ValueError: from the child"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_crash_of_a_subflow_crashes_the_parent_too(asynchronous: bool, record: Record) -> None:
    class Odd(BaseException): ...

    @flow
    def inner() -> None:
        raise Odd("why")

    @flow
    async def inner_async() -> None:
        raise Odd("why")

    @flow
    def outer() -> None:
        (inner_async if asynchronous else inner)(return_state=True)

    with pytest.raises(Odd):
        outer(return_state=True)
    message = "Execution was interrupted by an unexpected exception: Odd: why"
    crashes = [e["msg"] for e in record.of_kind(events.STATE) if e["code"] == 5 and not e["no"]]
    assert crashes == [message, message]


def test_a_parent_that_returns_none_counts_tasks_then_subflows() -> None:
    @flow
    def outer() -> None:
        child("x" if False else 1)
        add.submit(1)
        bad_child(return_state=True)

    state = outer(return_state=True)
    assert state.message == "1/3 states failed."
    states = state.result(raise_on_failure=False)
    assert [s.name for s in states] == ["Completed", "Completed", "Failed"]
    with pytest.raises(ValueError, match="from the child"):
        state.result()


def test_a_cancelled_subflow_counts_as_cancelled() -> None:
    @flow
    def inner() -> Any:
        return Cancelled(message="enough")

    @flow
    def outer() -> None:
        inner(return_state=True)

    assert outer(return_state=True).message == "1/1 states cancelled."


def test_invalid_parameters_fail_only_the_subflow(record: Record) -> None:
    @flow(name="typed")
    def typed(x: int) -> int:
        return x

    @flow
    def outer() -> Any:
        with pytest.raises(ParameterTypeError):
            typed("five")
        return typed("5"), typed("five", return_state=True).name

    assert outer() == (5, "Failed")
    assert record.state_names("typed") == ["Pending", "Failed"]


# -- dependencies -------------------------------------------------------------------------------------------


def test_futures_and_states_among_arguments_are_resolved_then_validated() -> None:
    held: list[Any] = []

    @flow
    def typed(x: int, xs: list[int], raw: Any = None) -> Any:
        return x, xs, raw is held

    @flow
    def outer() -> Any:
        one = add.submit("4", y="")
        held.append(one)
        return typed(one, [add.submit(1).wait(), "7"], raw=quote(held))

    assert outer() == (4, [2, 7], True)


@pytest.mark.anyio
async def test_futures_among_arguments_of_async_subflows() -> None:
    @flow
    async def outer() -> Any:
        one = await add_async.submit(1)
        return await child_async(one), await child_async(add.submit(2), wait_for=[one]), child(one)

    assert await outer() == (3, 4, 3)


def test_a_failed_upstream_as_argument_raises_and_creates_no_run(record: Record) -> None:
    @flow
    def outer() -> Any:
        bad = fail.submit()
        with pytest.raises(UpstreamTaskError, match="did not reach a 'COMPLETED' state"):
            child(bad)
        got = child_of_failure(allow_failure(bad))
        return type(got).__name__

    @flow
    def child_of_failure(x: Any) -> Any:
        return x

    assert outer() == "ValueError"
    assert [e["flow_name"] for e in record.of_kind(events.RUN)] == ["outer", "child-of-failure"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failed_upstream_in_wait_for_makes_the_subflow_not_ready(
    asynchronous: bool, record: Record
) -> None:
    inner = child_async if asynchronous else child

    @flow
    def outer() -> Any:
        bad = fail.submit()
        with pytest.raises(
            UnfinishedRun, match=r"Run is in PENDING state, its result is not available\."
        ):
            inner(1, wait_for=[bad])
        state = inner(1, wait_for=[bad], return_state=True)
        good = inner(1, wait_for=[allow_failure(bad), add.submit(1)])
        return state.name, state.message.replace(bad.task_run.name, "NAME"), good

    name, message, good = outer()
    assert name == "NotReady"
    assert message == "Upstream task run 'NAME' did not reach a 'COMPLETED' state."
    assert good == 2
    assert record.state_names(inner.name) == ["Pending", "NotReady"]


def test_wait_for_puts_a_subflow_behind_tasks() -> None:
    order: list[str] = []
    release = threading.Event()

    @task
    def slow() -> None:
        release.wait(20)
        order.append("task")

    @flow
    def inner() -> None:
        order.append("subflow")

    @flow(task_runner=ConcurrentTaskRunner())
    def outer() -> None:
        future = slow.submit()
        threading.Timer(0.05, release.set).start()
        inner(wait_for=[future])

    outer()
    assert order == ["task", "subflow"]


# -- the link and what is inherited -----------------------------------------------------------------------------


def test_a_stand_in_task_run_mirrors_the_subflow(record: Record) -> None:
    @flow
    def outer() -> None:
        one = add.submit(1)
        child(one)
        child(2, wait_for=[one])

    outer()
    above, below, again = record.of_kind(events.RUN)
    assert below["parent_uid"] == above["uid"]
    stands = [e for e in record.of_kind(events.TASK) if e["name"].startswith("child-")]
    assert [e["name"] for e in stands] == ["child-0", "child-1"]
    assert [e["no"] for e in stands] == [below["parent_no"], again["parent_no"]]
    assert [e["inputs"] for e in stands] == [(("x", None, 1),), (("wait_for", None, 1),)]
    states = [
        (e["code"], json.loads(e["data"])["child"])
        for e in record.of_kind(events.STATE)
        if e["uid"] == above["uid"] and e["no"] == stands[0]["no"]
    ]
    assert states == [(2, below["uid"]), (3, below["uid"])]


def test_a_subflow_has_its_own_runner_and_the_parents_stays_up() -> None:
    release = threading.Event()

    @task
    def slow() -> int:
        release.wait(20)
        return 1

    @flow(task_runner=SequentialTaskRunner())
    def inner() -> Any:
        from flowdeck.context import FlowRunContext

        context = FlowRunContext.get()
        assert context is not None
        return context.task_runner.name, add.submit(1).result()

    @flow(task_runner=ConcurrentTaskRunner())
    def outer() -> Any:
        before = slow.submit()
        value = inner()
        release.set()
        return value, add.submit(before).result()

    assert outer() == (("sequential", 2), 2)


def test_tags_flow_down_and_runtime_knows_the_parent() -> None:
    @task
    def look() -> Any:
        return runtime.task_run.tags, runtime.flow_run.parent_flow_run_id

    @flow
    def inner() -> Any:
        return runtime.flow_run.tags, look(), runtime.flow_run.parent_flow_run_id

    @flow
    def outer() -> Any:
        with tags("around"):
            first = inner()
        return first, inner(), runtime.flow_run.id, runtime.flow_run.parent_flow_run_id

    with tags("top"):
        first, second, uid, none = outer()
    assert first == (["around", "top"], (["around", "top"], uid), uid)
    assert second == (["top"], (["top"], uid), uid)
    assert none is None


def test_prints_and_result_settings_are_inherited(record: Record) -> None:
    @flow
    def quiet() -> None:
        print("not logged? it is")

    @flow(log_prints=False)
    def own() -> None:
        print("plain")

    @flow(log_prints=True)
    def outer() -> None:
        quiet()
        own()

    outer()
    assert "not logged? it is" in record.logs
    assert "plain" not in record.logs


def test_the_lines_of_a_subflow_have_the_shape_of_the_reference() -> None:
    with run_in_memory() as record:

        @flow(name="dask-subflow")
        def inner() -> None:
            add.submit(1)

        @flow(name="sequential-flow", task_runner=SequentialTaskRunner())
        def outer() -> None:
            inner()

        outer()
    above, below = record.of_kind(events.RUN)
    loggers = {above["uid"]: "parent", below["uid"]: "child"}
    lines = [(loggers[e["uid"]], e["msg"]) for e in record.of_kind(events.LOG)]
    name = f"add-{add.short_hash}-0"
    assert lines[0] == (
        "parent", f"Created flow run {above['name']!r} for flow 'sequential-flow'",
    )  # fmt: skip
    assert lines[1][1].startswith("Starting 'SequentialTaskRunner'")
    assert lines[2] == ("parent", f"Created subflow run {below['name']!r} for flow 'dask-subflow'")
    assert lines[3] == ("child", f"Created task run {name!r} for task 'add'")
    assert lines[4] == ("child", f"Submitted task run {name!r} for execution.")
    assert ("child", "Finished in state Completed('All states completed.')") in lines
    assert lines[-1] == ("parent", "Finished in state Completed('All states completed.')")
