"""Flow runs that are asked to stop, crash, or end as cancelled by their own decision."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.exceptions import CancelledRun, TerminationSignal
from flowdeck.states import Cancelled, State
from flowdeck.stopping import cancellation
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck.threads import active

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.testing import Record

pytestmark = pytest.mark.timeout(60)


def cancel_this_run() -> threading.Thread:
    """From inside a flow: have another thread cancel the run, as a request of the store does."""
    run = active.current_flow_run.get()
    thread = threading.Thread(target=cancellation.cancel, args=(run,))
    thread.start()
    return thread


def wait_for_ever() -> None:
    """Until something is raised in this thread; a deadline ends a test that would hang."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        time.sleep(0.005)
    raise AssertionError("nothing stopped the flow")


class Hooks:
    """Records the calls of hooks: (option, state, what ``more()`` said)."""

    def __init__(self, more: Any = lambda: None) -> None:
        self.seen: list[tuple[str, str, Any]] = []
        self._more = more

    def all(self) -> dict[str, Any]:
        names = ["on_completion", "on_failure", "on_cancellation", "on_crashed"]
        return {name: [self._hook(name)] for name in names}

    def _hook(self, option: str) -> Any:
        def hook(flow: Any, flow_run: Any, state: State[Any]) -> None:
            self.seen.append((option, state.name, self._more()))

        return hook


# -- a request to cancel ------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True])
def test_hooks_for_cancellation_are_called_on_entering_cancelling_and_only_once(
    asynchronous: bool, record: Record
) -> None:
    hooks = Hooks(lambda: record.state_names("f")[-1])

    def body() -> None:
        cancel_this_run()
        wait_for_ever()

    async def body_async() -> None:
        cancel_this_run()
        await asyncio.sleep(30)

    f = flow(name="f", retries=2, **hooks.all())(body_async if asynchronous else body)
    state = asyncio.run(f(return_state=True)) if asynchronous else f(return_state=True)
    assert (state.name, state.message) == ("Cancelled", "Cancelled on request.")
    assert hooks.seen == [("on_cancellation", "Cancelling", "Cancelling")]
    assert record.state_names("f") == ["Pending", "Running", "Cancelling", "Cancelled"]


def test_the_hooks_run_while_the_tasks_are_still_stopping(record: Record) -> None:
    told, started = threading.Event(), threading.Event()
    in_time: list[bool] = []

    @task
    def slow_to_stop() -> str:
        started.set()
        try:
            wait_for_ever()
        except BaseException:
            in_time.append(told.wait(20))
            raise
        return ""

    def tell(flow: Any, flow_run: Any, state: State[Any]) -> None:
        told.set()

    @flow(name="f", on_cancellation=[tell], task_runner=ConcurrentTaskRunner())
    def f() -> None:
        slow_to_stop.submit()
        assert started.wait(20)
        cancel_this_run()
        wait_for_ever()

    assert f(return_state=True).name == "Cancelled"
    assert in_time == [True]
    assert record.state_names("slow_to_stop")[-1] == "Cancelled"


def test_a_hook_that_raises_does_not_stop_the_cancelling(record: Record) -> None:
    def bad(flow: Any, flow_run: Any, state: State[Any]) -> None:
        raise ValueError("bad hook")

    @flow(name="f", on_cancellation=[bad])
    def f() -> None:
        cancel_this_run()
        wait_for_ever()

    assert f(return_state=True).name == "Cancelled"
    assert any("while running hook 'bad'" in line for line in record.logs)


def test_a_cancelled_flow_raises_cancelled_run_for_its_caller(record: Record) -> None:
    @flow
    def f() -> None:
        cancel_this_run()
        wait_for_ever()

    with pytest.raises(CancelledRun, match="Cancelled on request"):
        f()


def test_a_subflow_tells_its_own_hooks(record: Record) -> None:
    inner_hooks, outer_hooks = Hooks(), Hooks()

    @flow(name="inner", **inner_hooks.all())
    def inner() -> None:
        cancel_outer()
        wait_for_ever()

    cancel_outer: Any = None

    @flow(name="outer", **outer_hooks.all())
    def outer() -> None:
        nonlocal cancel_outer
        run = active.current_flow_run.get()
        cancel_outer = threading.Thread(target=cancellation.cancel, args=(run,)).start
        inner()

    assert outer(return_state=True).name == "Cancelled"
    assert inner_hooks.seen == [("on_cancellation", "Cancelling", None)]
    assert outer_hooks.seen == [("on_cancellation", "Cancelling", None)]


def test_queued_tasks_never_start_and_running_ones_stop(record: Record) -> None:
    started = threading.Event()
    ran: list[int] = []

    @task
    def spin(i: int) -> None:
        ran.append(i)
        started.set()
        wait_for_ever()

    @flow(task_runner=ConcurrentTaskRunner(max_workers=1))
    def f() -> None:
        for i in range(4):
            spin.submit(i)
        assert started.wait(20)
        cancel_this_run()
        wait_for_ever()

    assert f(return_state=True).name == "Cancelled"
    assert len(ran) == 1
    names = [name for name in record.task_runs if name.startswith("spin")]
    last = [record.state_names(name)[-1] for name in names]
    assert last == ["Cancelled"] * 4


# -- cancelled by its own decision ------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [SequentialTaskRunner(), ConcurrentTaskRunner()])
def test_a_task_that_returns_cancelled_makes_the_aggregate_cancelled(
    runner: Any, record: Record
) -> None:
    hooks = Hooks()

    @task
    def give_up() -> Any:
        return Cancelled(message="not today")

    @task
    def fine() -> int:
        return 1

    @flow(task_runner=runner, **hooks.all())
    def f() -> None:
        fine.submit()
        give_up.submit()

    state = f(return_state=True)
    assert (state.name, state.message) == ("Cancelled", "1/2 states cancelled.")
    assert hooks.seen == [("on_cancellation", "Cancelled", None)]  # it never was Cancelling


# -- crashes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("return_state", [False, True])
def test_a_crashing_flow_raises_also_with_return_state_after_state_and_hooks(
    error: type[BaseException], return_state: bool, record: Record
) -> None:
    hooks = Hooks(lambda: record.state_names("f")[-1])

    @flow(name="f", retries=3, **hooks.all())
    def f() -> None:
        raise error

    with pytest.raises(error):
        f(return_state=return_state)
    assert record.state_names("f") == ["Pending", "Running", "Crashed"]
    assert hooks.seen == [("on_crashed", "Crashed", "Crashed")]


def test_an_interrupt_in_a_submitted_task_crashes_the_flow_when_its_body_is_done(
    record: Record,
) -> None:
    seen: list[str] = []

    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    @flow(name="f", task_runner=ConcurrentTaskRunner())
    def f() -> str:
        future = interrupted.submit()
        seen.append(future.wait().name)
        with pytest.raises(KeyboardInterrupt):
            future.result()
        seen.append("body done")
        return "value"

    with pytest.raises(KeyboardInterrupt):
        f(return_state=True)
    assert seen == ["Crashed", "body done"]
    assert record.state_names("f")[-1] == "Crashed"


# -- signals --------------------------------------------------------------------------------------------------

SIGTERM_SCRIPT = """
import os, signal, sys, time
from flowdeck import flow

def mine(signum, frame):
    print("my handler", flush=True)

if sys.argv[1] == "handled":
    signal.signal(signal.SIGTERM, mine)
before = signal.getsignal(signal.SIGTERM)

def crashed(flow, flow_run, state):
    print("hook", state.message, flush=True)

@flow(on_crashed=[crashed])
def f():
    os.kill(os.getpid(), signal.SIGTERM)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(0.01)

try:
    f()
except BaseException as error:
    print(type(error).__name__, signal.getsignal(signal.SIGTERM) is before, flush=True)
"""


@pytest.mark.parametrize("how", ["default", "handled"])
def test_sigterm_crashes_calls_hooks_and_hands_on_to_the_handler_before(
    how: str, home: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SIGTERM_SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), how],
        env={**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "false"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "hook Execution was aborted by a termination signal."
    if how == "default":
        assert lines[1:] == []
        assert done.returncode == -signal.SIGTERM
    else:
        assert lines[1:] == ["my handler", f"{TerminationSignal.__name__} True"]
        assert done.returncode == 0
