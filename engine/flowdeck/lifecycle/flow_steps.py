"""Steps of flow runs: calling the flow's function, starting its task runner, waiting for its tasks.

The function runs on the thread (or loop) that called the flow, so it is stopped in another way than a
task's: by what a signal raises in the main thread, by an exception that is injected into another
thread, or by the loop.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import FlowCancelled
from flowdeck.lifecycle.steps import (
    CallResult,
    Sleep,
    Step,
    finished,
    finished_async,
    sleep_on_loop,
    traced,
)
from flowdeck.logging import INFO, line
from flowdeck.metrics.sampler import sampler
from flowdeck.runs import waiting
from flowdeck.states.transitions import TimeUp, is_cancellation
from flowdeck.stopping import cancellation
from flowdeck.stopping.time_limits import limited
from flowdeck.threads import child_processes
from flowdeck.threads.interrupts import executing
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.runs.flow_run import FlowRun

#: Seconds between two looks whether a run that sleeps before a retry was cancelled.
_CANCEL_POLL = 0.2


class CallFlow(Step):
    """Call the flow's function."""

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs

    def carry_out(self, run: FlowRun) -> CallResult:
        run.body_thread = threading.get_ident()
        try:
            with _interruptible(run), limited(run, run.flow.timeout_seconds):
                if run.cancel_requested:  # before anybody could see that there is something to stop
                    raise FlowCancelled
                with traced(run):
                    value = finished(run.flow.fn(*self.args, **self.kwargs))
        except BaseException as error:
            return CallResult(None, _meaning_of(run, error))
        else:
            return CallResult(None, TimeUp(run)) if run.timed_out else CallResult(value)
        finally:
            run.body_thread = None

    async def carry_out_async(self, run: FlowRun) -> CallResult:
        import asyncio

        import anyio

        here = asyncio.get_running_loop()
        with anyio.CancelScope() as asked:
            run.stop_body = functools.partial(here.call_soon_threadsafe, asked.cancel)
            run.interrupt = functools.partial(_end_children, run)
            try:
                with limited(run, run.flow.timeout_seconds):
                    if run.cancel_requested:
                        raise FlowCancelled
                    with traced(run):
                        value = await finished_async(run.flow.fn(*self.args, **self.kwargs))
            except BaseException as error:
                meant = _meaning_of(run, error)
                return CallResult(None, run.why_stopped() if asked.cancel_called else meant)
            else:
                return CallResult(None, TimeUp(run)) if run.timed_out else CallResult(value)
            finally:
                run.stop_body = run.interrupt = None
        return CallResult(None, run.why_stopped())  # the scope was cancelled on its way out


def _interruptible(run: FlowRun) -> Any:
    """Mark the block that a request to cancel, a signal or a time limit may interrupt."""
    if threading.current_thread() is threading.main_thread():
        return cancellation.Interruptible(run)
    return executing(run, FlowCancelled)


def _end_children(run: FlowRun) -> None:
    child_processes.end(run)


def _meaning_of(run: FlowRun, error: BaseException) -> BaseException:
    """Return what an exception that came out of the flow's function means, and end what that has
    started if it was stopped."""
    if run.timed_out or child_processes.was_stopped(error):
        child_processes.end(run)
    if run.timed_out and (isinstance(error, TimeoutError) or is_cancellation(error)):
        return TimeUp(run)
    if isinstance(error, FlowCancelled):
        return run.why_stopped()
    return error


class SleepBetweenAttempts(Sleep):
    """Wait some seconds, less if the flow run is asked to stop."""

    __slots__ = ()

    def carry_out(self, run: FlowRun) -> None:
        deadline = clock.monotonic() + self.seconds
        with contextlib.suppress(FlowCancelled), cancellation.Interruptible(run):
            while not run.cancel_requested and (left := deadline - clock.monotonic()) > 0:
                time.sleep(min(left, _CANCEL_POLL))

    async def carry_out_async(self, run: FlowRun) -> None:
        await sleep_on_loop(run, self.seconds, "stop_body")
        if run.terminated_by is not None:
            raise run.why_stopped()


class StartRunner(Step):
    """Start the task runner, and taking samples of this process. What that raises crashes the run."""

    __slots__ = ()

    def carry_out(self, run: FlowRun) -> None:
        if run.parent is None:
            line(run, INFO, run.runner.announcement)
        with child_processes.of_the_engine():
            run.runner.start(run)
        seconds = run.info.metrics
        if seconds is not None and run.parent is None:
            # Workers of a cluster on this machine may be child processes, too: they speak for themselves.
            alone = not run.runner.tracks_dependencies
            sampler.watch(run.info.uid, run.recorder.emit, seconds=seconds, children=alone)

    async def carry_out_async(self, run: FlowRun) -> None:
        import anyio.to_thread

        # Starting a cluster takes seconds: not on the user's loop.
        await anyio.to_thread.run_sync(self.carry_out, run)


class WaitForTasks(Step):
    """Wait until all task runs have ended; a task may submit more meanwhile.

    Attributes:
        stopping: they were asked to stop, so it takes seconds at most, and is not to be cut short.
        seconds: how long it may take; default: until the run's own time is up. The result is an
            error if it took longer.
    """

    __slots__ = ("seconds", "stopping")

    def __init__(self, stopping: bool = False, seconds: float | None = None) -> None:
        self.stopping = stopping
        self.seconds = seconds

    def _due(self, run: FlowRun) -> float:
        """Return when the wait is to be over, on the engine's clock."""
        seconds = self.seconds
        if seconds is None and not self.stopping:
            seconds = run.seconds_left()
        return clock.monotonic() + (math.inf if seconds is None else seconds)

    def carry_out(self, run: FlowRun) -> CallResult:
        due = self._due(run)
        try:
            with cancellation.Interruptible(run):
                run.submissions.end_calls_left()
                while run.submissions.open:
                    left = None if due == math.inf else max(due - clock.monotonic(), 0.0)
                    if not waiting.wait(list(run.submissions.open), left):
                        return CallResult(None, TimeUp(run))
        except BaseException as error:
            return CallResult(None, error)
        return CallResult(None)

    async def carry_out_async(self, run: FlowRun) -> CallResult:
        import anyio

        stopping, due = self.stopping, self._due(run)
        try:
            with anyio.CancelScope(shield=stopping):
                run.submissions.end_calls_left()
                while run.submissions.open:
                    if run.terminated_by is not None and not stopping:
                        return CallResult(None, run.why_stopped())
                    left = due - clock.monotonic()
                    if left <= 0:
                        return CallResult(None, TimeUp(run))
                    await waiting.wait_async(list(run.submissions.open), min(left, 1.0))
        except BaseException as error:
            return CallResult(None, error)
        return CallResult(None)
