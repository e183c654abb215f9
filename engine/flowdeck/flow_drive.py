"""Carries out what a flow run's lifecycle asks for: on the calling thread, or on the calling loop."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from typing import TYPE_CHECKING, Any

from flowdeck import cancellation, capture, context, waiting
from flowdeck.exceptions import FlowCancelled
from flowdeck.flow_life import StartRunner, WaitForTasks, crash, lifecycle
from flowdeck.interrupts import executing
from flowdeck.logging import INFO, console, line
from flowdeck.steps import (
    Call,
    Outcome,
    Sleep,
    WaitForRuns,
    finished,
    run_hook,
    run_hook_async,
)
from flowdeck.time_limits import limited
from flowdeck.transitions import TimeUp, is_cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.flow_run import FlowRun
    from flowdeck.states import State

#: Seconds between two looks whether a run that sleeps before a retry was cancelled.
_CANCEL_POLL = 0.2


def run_sync(run: FlowRun) -> State[Any]:
    """Drive a flow run whose function is not async; returns its final state.

    Raises:
        BaseException: what crashed the run.
    """
    with _entered(run), cancellation.sigterm_stops(run):
        try:
            try:
                return _drive(run, lifecycle(run))
            finally:
                run.runner.stop()
        except BaseException as error:
            if not run.state.is_final():
                _drive(run, crash(run, error))
            raise


def _drive(run: FlowRun, generator: Any) -> State[Any]:
    outcome: Outcome | None = None
    while True:
        try:
            step = generator.send(outcome)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        outcome = _carry_out(run, step)


def _carry_out(run: FlowRun, step: Any) -> Outcome | None:
    kind = type(step)
    if kind is Call:
        return _call(run, step)
    if kind is WaitForTasks:
        return _wait(run)
    if kind is StartRunner:
        _start_runner(run)
    elif kind is WaitForRuns:
        waiting.wait(step.runs)
    elif kind is Sleep:
        deadline = time.monotonic() + step.seconds
        with contextlib.suppress(FlowCancelled), cancellation.Interruptible(run):
            while not run.cancel_requested and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(left, _CANCEL_POLL))
    else:
        return run_hook(step)
    return None


def _call(run: FlowRun, step: Call) -> Outcome:
    run.body_thread = threading.get_ident()
    try:
        with (
            _interruptible(run),
            limited(run, step.timeout),
        ):
            if run.cancel_requested:  # before anybody could see that there is something to stop
                raise FlowCancelled
            value = finished(step.fn(*step.args, **step.kwargs))
    except BaseException as error:
        return Outcome(None, _translated(run, error))
    else:
        return Outcome(None, TimeUp(run)) if run.timed_out else Outcome(value)
    finally:
        run.body_thread = None


def _interruptible(run: FlowRun) -> Any:
    """Mark the block that a request to cancel, a signal or a time limit may interrupt."""
    if threading.current_thread() is threading.main_thread():
        return cancellation.Interruptible(run)
    return executing(run, FlowCancelled)


def _translated(run: FlowRun, error: BaseException) -> BaseException:
    """Return what an exception that came out of the flow's function means."""
    if run.timed_out and (isinstance(error, TimeoutError) or is_cancellation(error)):
        return TimeUp(run)
    if isinstance(error, FlowCancelled):
        return run.why_stopped()
    return error


def _wait(run: FlowRun) -> Outcome:
    """Wait until all task runs have ended; a task may submit more meanwhile."""
    try:
        with cancellation.Interruptible(run):
            while run.submissions.open:
                waiting.wait(list(run.submissions.open))
    except BaseException as error:
        return Outcome(None, error)
    return Outcome(None)


# -- on a loop ------------------------------------------------------------------------------------------


async def run_async(run: FlowRun) -> State[Any]:
    """Drive a flow run whose function is async, on the calling loop; returns its final state.

    Raises:
        BaseException: what crashed the run.
    """
    import anyio
    import anyio.to_thread

    with _entered(run), cancellation.sigterm_stops(run), cancellation.Interruptible(run):
        try:
            try:
                return await _drive_async(run, lifecycle(run))
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(run.runner.stop)
        except BaseException as error:
            if not run.state.is_final():
                with anyio.CancelScope(shield=True):
                    await _drive_async(run, crash(run, error))
            raise


async def _drive_async(run: FlowRun, generator: Any) -> State[Any]:
    outcome: Outcome | None = None
    while True:
        try:
            step = generator.send(outcome)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        outcome = await _carry_out_async(run, step)


async def _carry_out_async(run: FlowRun, step: Any) -> Outcome | None:
    import anyio
    import anyio.to_thread

    kind = type(step)
    if kind is Call:
        return await _call_async(run, step)
    if kind is WaitForTasks:
        return await _wait_async(run, step.stopping)
    if kind is StartRunner:
        # Starting a cluster takes seconds: not on the user's loop.
        await anyio.to_thread.run_sync(_start_runner, run)
    elif kind is WaitForRuns:
        await waiting.wait_async(step.runs)
    elif kind is Sleep:
        await _sleep_async(run, step.seconds)
    else:
        return await run_hook_async(step)
    return None


async def _sleep_async(run: FlowRun, seconds: float) -> None:
    import asyncio

    import anyio

    loop = asyncio.get_running_loop()
    with anyio.move_on_after(seconds) as nap:
        run.stop_body = functools.partial(loop.call_soon_threadsafe, nap.cancel)
        try:
            if not run.cancel_requested:
                await anyio.sleep_forever()
        finally:
            run.stop_body = None
    if run.terminated_by is not None:
        raise run.why_stopped()


async def _call_async(run: FlowRun, step: Call) -> Outcome:
    import asyncio

    import anyio

    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as asked:
        run.stop_body = functools.partial(loop.call_soon_threadsafe, asked.cancel)
        try:
            with limited(run, step.timeout):
                if run.cancel_requested:
                    raise FlowCancelled
                value = finished(await step.fn(*step.args, **step.kwargs))
        except BaseException as error:
            if asked.cancel_called:
                return Outcome(None, run.why_stopped())
            return Outcome(None, _translated(run, error))
        else:
            return Outcome(None, TimeUp(run)) if run.timed_out else Outcome(value)
        finally:
            run.stop_body = None
    return Outcome(None, run.why_stopped())  # the scope was cancelled on its way out


async def _wait_async(run: FlowRun, stopping: bool) -> Outcome:
    import anyio

    try:
        with anyio.CancelScope(shield=stopping):
            while run.submissions.open:
                if run.terminated_by is not None and not stopping:
                    return Outcome(None, run.why_stopped())
                await waiting.wait_async(list(run.submissions.open), 1.0)
    except BaseException as error:
        return Outcome(None, error)
    return Outcome(None)


# -- both -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _entered(run: FlowRun) -> Iterator[None]:
    """Be inside the run: context variables, prints, the list of live runs."""
    flow_token = context.current_flow_run.set(run)
    task_token = context.current_task_run.set(None)
    tags_token = context._tags.set(run.info.tags)
    cancellation.live[run.info.uid] = run
    try:
        with capture.prints(run.log_prints):
            yield
    finally:
        cancellation.live.pop(run.info.uid, None)
        context._tags.reset(tags_token)
        context.current_task_run.reset(task_token)
        context.current_flow_run.reset(flow_token)
        if run.parent is None:
            run.recorder.flush(5.0)
            console.flush()


def _start_runner(run: FlowRun) -> None:
    if run.parent is None:
        line(run, INFO, run.runner.announcement)
    run.runner.start(run)
