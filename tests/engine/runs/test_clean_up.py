"""What goes on when a flow run's time is up or it was cancelled: nothing of what it submitted, but for
tasks that clean up, for a while."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from flowdeck import allow_failure, flow, task
from flowdeck.exceptions import CancelledRun, UnfinishedRun
from flowdeck.runs.flow_run import FlowRun
from flowdeck.runs.task_run import Stop
from flowdeck.states import Cancelled, State
from flowdeck.stopping import cancellation
from flowdeck.task_runners import BaseTaskRunner, ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.testing import Record
from flowdeck.threads.active import current_flow_run

CONCURRENT = ConcurrentTaskRunner(max_workers=2)


@task
def sleepy(seconds: float) -> float:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.005)
    return seconds


@task
async def sleepy_async(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


# -- the time limit ------------------------------------------------------------------------------------


def submits_much(limit: float) -> Callable[..., Any]:
    @flow(task_runner=CONCURRENT, timeout_seconds=limit)
    def many() -> int:
        for future in [sleepy.submit(30) for _ in range(4)]:
            sleepy.submit(future)
        sleepy_async.submit(30)
        return 1

    return many


def submits_much_async(limit: float) -> Callable[..., Any]:
    @flow(task_runner=CONCURRENT, timeout_seconds=limit)
    async def many() -> int:
        for future in [await sleepy_async.submit(30) for _ in range(4)]:
            await sleepy_async.submit(future)
        sleepy.submit(30)
        return 1

    return lambda **options: asyncio.run(many(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [submits_much, submits_much_async])
def test_a_time_limit_bounds_what_the_flow_submitted(
    make: Callable[[float], Any], record: Record
) -> None:
    began = time.monotonic()
    state = make(0.3)(return_state=True)
    assert time.monotonic() - began < 20
    assert (state.name, state.message.split(" TimeoutError")[0]) == (
        "TimedOut",
        "Flow run exceeded timeout of 0.3 seconds",
    )
    for name in record.task_runs:
        assert record.state_names(name)[-1] == "Cancelled"


def test_what_cannot_be_stopped_is_shown_as_going_on_in_the_background(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck.runs.stopping.GRACE", 0.1)
    go = threading.Event()

    @task
    def stuck() -> None:
        while not go.is_set():
            try:
                go.wait(0.01)
            except BaseException:
                pass

    @flow(timeout_seconds=0.2)
    def impatient() -> None:
        stuck.submit()

    try:
        assert impatient(return_state=True).name == "TimedOut"
    finally:
        go.set()
    assert any("it goes on in the background" in text for text in record.logs)


def test_a_time_limit_that_is_not_reached_changes_nothing(record: Record) -> None:
    @flow(timeout_seconds=30)
    def patient() -> int:
        sleepy.submit(0.05)
        return 1

    assert patient() == 1


def test_the_functions_own_exception_is_not_hidden_by_the_limit(record: Record) -> None:
    @flow(timeout_seconds=0.2)
    def fails() -> None:
        sleepy.submit(30)
        raise ValueError("mine")

    assert "mine" in fails(return_state=True).message


# -- allow_failure -------------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), CONCURRENT])
def test_allow_failure_lets_every_final_state_through(
    runner: BaseTaskRunner, record: Record
) -> None:
    class Odd(BaseException):
        pass

    @task
    def fails() -> None:
        raise ValueError("no")

    @task
    def after(x: Any) -> Any:
        return x

    @task
    def crashes() -> None:
        raise Odd

    @task
    def cancelled() -> State[Any]:
        return Cancelled(message="not today")

    @task(timeout_seconds=0.05)
    def late() -> None:
        time.sleep(0.2)

    @task
    def clean_up(x: Any, y: int = 0) -> Any:
        return x

    @flow(task_runner=runner)
    def teardown() -> list[Any]:
        bad = fails.submit()
        ends = [bad, after.submit(bad), crashes.submit(), cancelled.submit(), late.submit()]
        cleaned = [clean_up.submit(allow_failure(end)).result() for end in ends]
        waited = clean_up.submit(1, wait_for=[allow_failure(end) for end in ends]).result()
        mapped = clean_up.map(allow_failure(ends[3]), [1]) if False else []
        return [type(value) for value in cleaned] + [waited, *mapped]

    expected = [ValueError, UnfinishedRun, Odd, CancelledRun, TimeoutError, 1]
    assert teardown() == expected


# -- always --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), CONCURRENT])
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_task_that_runs_always_cleans_up(
    how: str, runner: BaseTaskRunner, record: Record
) -> None:
    done = []

    @task(always=True)
    def clean_up(what: str, _: Any = None) -> None:
        done.append(what)

    @flow(task_runner=runner, timeout_seconds=0.3 if how == "timed out" else None)
    def work() -> None:
        try:
            if not runner.submit_blocks:
                busy = sleepy.submit(30)
                clean_up.submit("submitted", allow_failure(busy))
            if how == "cancelled":
                threading.Timer(0.1, cancellation.cancel, [current_flow_run.get()]).start()
            sleepy(30)
        finally:
            clean_up("called")
            clean_up.submit("late")

    state = work(return_state=True)
    assert state.name == {"cancelled": "Cancelled", "timed out": "TimedOut"}[how]
    expected = {"called", "late"} if runner.submit_blocks else {"called", "late", "submitted"}
    assert set(done) == expected


def test_cleaning_up_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowdeck.testing import run_in_memory

    @task(always=True)
    def for_ever() -> None:
        sleepy.fn(60)

    @flow(task_runner=CONCURRENT, timeout_seconds=0.1)
    def work() -> None:
        for_ever.submit()

    began = time.monotonic()
    with run_in_memory(cleanup_seconds=0.2):
        assert work(return_state=True).name == "TimedOut"
    assert time.monotonic() - began < 30


# -- where a clean-up is called ------------------------------------------------------------------------


def cancels_soon() -> None:
    """Cancel the flow run that executes, its callers first, when it is busy."""
    run = current_flow_run.get()
    while run is not None and run.parent is not None:
        run = run.parent
    threading.Timer(0.1, cancellation.cancel, [run]).start()


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
@pytest.mark.parametrize("place", ["the flow", "a subflow", "a subflow of a subflow"])
@pytest.mark.parametrize("kind", ["sync", "async", "async in sync"])
def test_a_clean_up_runs_wherever_the_flow_was_stopped(
    kind: str, place: str, how: str, record: Record
) -> None:
    done: list[str] = []

    @task(always=True)
    def clean_up(what: str, _: Any = None) -> None:
        done.append(what)

    @task(always=True)
    async def clean_up_async(what: str) -> None:
        await asyncio.sleep(0.01)
        done.append(what)

    @flow(task_runner=CONCURRENT)
    def work() -> None:
        busy = sleepy.submit(30)
        clean_up.submit("submitted", allow_failure(busy))
        try:
            if how == "cancelled":
                cancels_soon()
            sleepy(30)
        finally:
            clean_up("called")

    @flow(task_runner=CONCURRENT)
    async def work_async() -> None:
        busy = sleepy.submit(30)
        clean_up.submit("submitted", allow_failure(busy))
        try:
            if how == "cancelled":
                cancels_soon()
            await asyncio.sleep(30)
        finally:
            await clean_up_async("called")

    called: Any = work if kind == "sync" else work_async
    for _ in range(["the flow", "a subflow", "a subflow of a subflow"].index(place)):
        called = caller_of(called, kind == "async")
    limit = 0.5 if how == "timed out" else None
    began = time.monotonic()
    state = called.with_options(timeout_seconds=limit)(return_state=True)
    if kind != "sync" and asyncio.iscoroutine(state):
        state = asyncio.run(state)
    assert time.monotonic() - began < 25
    assert sorted(done) == ["called", "submitted"]
    assert state.name == {"cancelled": "Cancelled", "timed out": "TimedOut"}[how]
    if place != "the flow":
        name = "work" if kind == "sync" else "work-async"
        assert record.state_names(name)[-1] == "Cancelled"


def caller_of(called: Any, is_async: bool) -> Any:
    if is_async:

        @flow(task_runner=CONCURRENT)
        async def calls_async() -> None:
            await called()
            raise AssertionError("it goes on although its time is up")

        return calls_async

    @flow(task_runner=CONCURRENT)
    def calls() -> None:
        called(return_state=True)
        raise AssertionError("it goes on although its time is up")

    return calls


def test_a_flow_that_a_tasks_end_wakes_is_not_struck_while_it_cleans_up(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a task that was stopped wakes the flow that waits for it, as the request does."""
    cleans, done = threading.Event(), []
    stop = FlowRun.stop_tasks

    def stop_and_wait(run: FlowRun, why: Stop, always: bool = False) -> None:
        stop(run, why, always)
        if not always:
            cleans.wait(10)  # what comes after it would come in the middle of the clean-up

    monkeypatch.setattr(FlowRun, "stop_tasks", stop_and_wait)

    @task(always=True)
    def clean_up() -> None:
        cleans.set()
        sleepy.fn(0.3)
        done.append(1)

    @flow(task_runner=CONCURRENT)
    def work() -> None:
        busy = sleepy.submit(30)
        try:
            cancels_soon()
            busy.result()
        finally:
            clean_up()

    assert work(return_state=True).name == "Cancelled"
    assert done == [1]


def test_an_async_clean_up_that_is_called_has_a_bound() -> None:
    from flowdeck.testing import run_in_memory

    @task(always=True)
    async def for_ever() -> None:
        await asyncio.sleep(60)

    @flow(task_runner=CONCURRENT, timeout_seconds=0.1)
    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await for_ever()

    began = time.monotonic()
    with run_in_memory(cleanup_seconds=0.2):
        assert asyncio.run(work(return_state=True)).name == "TimedOut"  # type: ignore[arg-type]
    assert time.monotonic() - began < 30


def stop_current(how: str) -> Any:
    """Have the current flow run asked to stop, soon; return it."""
    from flowdeck.threads.active import current_flow_run

    run: Any = current_flow_run.get()
    if how == "cancelled":
        threading.Thread(target=cancellation.cancel, args=[run]).start()
    return run


def is_stopped(run: Any) -> bool:
    return bool(run.cancel_requested or run.timed_out)


FORMS = ["called", "submitted", "async task called", "awaited", "submit awaited", "in finally"]


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), CONCURRENT])
@pytest.mark.parametrize("how", ["cancelled", "timed out"])
@pytest.mark.parametrize("main_thread", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_what_cleans_up_is_not_interrupted_where_the_flow_executes_it(
    form: str, main_thread: bool, how: str, runner: BaseTaskRunner, record: Record
) -> None:
    done = []

    @task(always=True)
    def clean_up() -> None:
        run = stop_current(how)
        while not is_stopped(run):
            time.sleep(0.002)
        for _ in range(20):  # it would land in here
            time.sleep(0.002)
        done.append("cleaned up")

    @task(always=True)
    async def clean_up_async() -> None:
        run = stop_current(how)
        while not is_stopped(run):
            await asyncio.sleep(0.002)
        for _ in range(20):
            await asyncio.sleep(0.002)
        done.append("cleaned up")

    limit = 0.3 if how == "timed out" else None

    @flow(task_runner=runner, timeout_seconds=limit)
    def work() -> None:
        if form == "called":
            clean_up()
        elif form == "submitted":
            clean_up.submit().wait()
        else:
            clean_up_async()
        sleepy(30)

    @flow(task_runner=runner, timeout_seconds=limit)
    async def work_async() -> None:
        if form == "awaited":
            await clean_up_async()
        elif form == "submit awaited":
            await clean_up_async.submit()
        else:
            try:
                stop_current(how)
                await asyncio.sleep(30)
            finally:
                await clean_up_async()
        await sleepy_async(30)

    def execute() -> None:
        if FORMS.index(form) < 3:
            states.append(work(return_state=True))
        else:
            states.append(asyncio.run(work_async(return_state=True)))

    states: list[State[Any]] = []
    if main_thread:
        execute()
    else:
        thread = threading.Thread(target=contextvars.copy_context().run, args=[execute])
        thread.start()
        thread.join()
    assert done == ["cleaned up"]
    assert states[0].name == {"cancelled": "Cancelled", "timed out": "TimedOut"}[how]
    first = next(name for name in record.task_runs if name.startswith("clean_up"))
    assert record.state_names(first)[-1] == "Completed"


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
@pytest.mark.parametrize("form", ["called", "awaited", "in finally"])
def test_cleaning_up_in_the_flows_function_has_a_bound_too(form: str, how: str) -> None:
    from flowdeck.testing import run_in_memory

    limit = 0.2 if how == "timed out" else None

    @task(always=True)
    def for_ever() -> None:
        stop_current(how)
        sleepy.fn(60)

    @task(always=True)
    async def for_ever_async() -> None:
        stop_current(how)
        await asyncio.sleep(60)

    @flow(timeout_seconds=limit)
    def work() -> None:
        for_ever()

    @flow(timeout_seconds=limit)
    async def work_async() -> None:
        try:
            if form == "in finally":
                stop_current(how)
                await asyncio.sleep(60)
        finally:
            await for_ever_async()

    began = time.monotonic()
    with run_in_memory(cleanup_seconds=0.2) as record:
        if form == "called":
            state = work(return_state=True)
        else:
            state = asyncio.run(work_async(return_state=True))
        assert state.name == {"cancelled": "Cancelled", "timed out": "TimedOut"}[how]
        (name,) = record.task_runs
        assert record.state_names(name)[-1] == "Cancelled"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_subflow_called_in_a_task_ends_with_the_task(how: str, record: Record) -> None:
    done: list[str] = []

    @task(always=True)
    def clean_up(what: str, _: Any = None) -> None:
        done.append(what)

    @flow(task_runner=CONCURRENT)
    def inner() -> None:
        busy = sleepy.submit(30)
        clean_up.submit("submitted", allow_failure(busy))
        if how == "cancelled":
            outermost = current_flow_run.get().parent  # type: ignore[union-attr]
            threading.Timer(0.1, outermost.cancel_task, [1]).start()  # type: ignore[union-attr]
        try:
            busy.result()
        finally:
            clean_up("called")

    @task(timeout_seconds=0.5 if how == "timed out" else None)
    def calls() -> None:
        inner()

    @flow(task_runner=CONCURRENT)
    def outer() -> str:
        return calls.submit().wait().name

    began = time.monotonic()
    assert outer() == {"cancelled": "Cancelled", "timed out": "TimedOut"}[how]
    assert time.monotonic() - began < 25
    assert record.state_names("inner")[-1] == "Cancelled"
    assert sorted(done) == ["called", "submitted"]


def test_a_subflow_that_cannot_be_stopped_is_not_left_running(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowdeck.runs.stopping.GRACE", 0.1)
    go, ended = threading.Event(), threading.Event()

    @flow(task_runner=CONCURRENT)
    def inner() -> None:
        try:
            while not go.is_set():
                with contextlib.suppress(BaseException):
                    go.wait(0.01)
        finally:
            ended.set()

    @task(timeout_seconds=0.2)
    def calls() -> None:
        inner()

    @flow(task_runner=CONCURRENT)
    def outer() -> str:
        return calls.submit().wait().name

    try:
        assert outer() == "TimedOut"
        assert "Crashed" in record.state_names("inner")
        assert "Crashed" in record.state_names("inner-0")
    finally:
        go.set()
        ended.wait(10)
