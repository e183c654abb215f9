"""Carries out what a flow run's lifecycle asks for: on the calling thread, or on the calling loop."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from flowdeck import cancellation, capture, context, waiting
from flowdeck.exceptions import FlowCancelled, TerminationSignal
from flowdeck.flow_run import FlowRun, WaitForTasks, lifecycle
from flowdeck.logging import DEBUG, ERROR, INFO, console, engine_line, line
from flowdeck.states import Crashed, State
from flowdeck.steps import Call, CallHook, Outcome, Sleep, run_hook, run_hook_async
from flowdeck.transitions import TimeUp, crash_message

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_sync(run: FlowRun) -> State[Any]:
    """Drive a flow run whose function is not async; returns its final state.

    Raises:
        BaseException: what crashed the run.
    """
    with _entered(run), cancellation.sigterm_stops(run):
        try:
            with _runner(run):
                generator = lifecycle(run)
                outcome: Outcome | None = None
                while True:
                    try:
                        step = generator.send(outcome)
                    except StopIteration as end:
                        return end.value  # type: ignore[no-any-return]
                    outcome = _carry_out(run, step)
        except BaseException as error:
            _crash(run, error)
            raise


def _carry_out(run: FlowRun, step: Any) -> Outcome | None:
    kind = type(step)
    if kind is Call:
        return _call(run, step)
    if kind is WaitForTasks:
        return _wait(run)
    if kind is Sleep:
        deadline = time.monotonic() + step.seconds
        with contextlib.suppress(FlowCancelled), cancellation.Interruptible(run):
            while not run.cancel_requested and (left := deadline - time.monotonic()) > 0:
                time.sleep(min(left, 0.2))
        return None
    return run_hook(step)


def _call(run: FlowRun, step: Call) -> Outcome:
    run.body_thread = threading.get_ident()
    try:
        with cancellation.alarm(run, step.timeout), cancellation.Interruptible(run):
            deadline = _Deadline(run, step.timeout)
            with deadline:
                return Outcome(step.fn(*step.args, **step.kwargs))
    except BaseException as error:
        if run.timed_out and isinstance(error, (TimeoutError, TimeUp)):
            return Outcome(None, TimeUp(run))
        if isinstance(error, TimeUp) and error.run is run:
            run.timed_out = True
        return Outcome(None, error)
    finally:
        run.body_thread = None


class _Deadline:
    """Off the main thread nothing can interrupt the function: from its time on, no task starts."""

    def __init__(self, run: FlowRun, seconds: float | None) -> None:
        self._timer: threading.Timer | None = None
        if seconds is not None and threading.current_thread() is not threading.main_thread():
            self._timer = threading.Timer(seconds, self._up, [run])
            self._timer.daemon = True

    @staticmethod
    def _up(run: FlowRun) -> None:
        run.timed_out = True

    def __enter__(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


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
    import anyio.to_thread

    with _entered(run), cancellation.sigterm_stops(run), cancellation.Interruptible(run):
        try:
            # Starting a cluster takes seconds: not on the user's loop.
            await anyio.to_thread.run_sync(_start_runner, run)
            try:
                generator = lifecycle(run)
                outcome: Outcome | None = None
                while True:
                    try:
                        step = generator.send(outcome)
                    except StopIteration as end:
                        return end.value  # type: ignore[no-any-return]
                    outcome = await _carry_out_async(run, step)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(run.runner.stop)
        except BaseException as error:
            _crash(run, error)
            raise


async def _carry_out_async(run: FlowRun, step: Any) -> Outcome | None:
    import anyio

    kind = type(step)
    if kind is Call:
        return await _call_async(run, step)
    if kind is WaitForTasks:
        return await _wait_async(run)
    if kind is Sleep:
        deadline = time.monotonic() + step.seconds
        while not run.cancel_requested and (left := deadline - time.monotonic()) > 0:
            await anyio.sleep(min(left, 0.2))
        return None
    return await run_hook_async(step)


async def _call_async(run: FlowRun, step: Call) -> Outcome:
    import asyncio

    import anyio

    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as asked:

        def stop() -> None:
            loop.call_soon_threadsafe(asked.cancel)

        run.stop_body = stop
        try:
            with anyio.move_on_after(step.timeout) as clock:
                return Outcome(await step.fn(*step.args, **step.kwargs))
        except BaseException as error:
            if asked.cancel_called and run.cancel_requested:
                return Outcome(None, FlowCancelled())
            return Outcome(None, error)
        finally:
            run.stop_body = None
        if clock.cancelled_caught:
            run.timed_out = True
            return Outcome(None, TimeUp(run))
    if run.terminated_by is not None:
        return Outcome(None, TerminationSignal(run.terminated_by))
    return Outcome(None, FlowCancelled())


async def _wait_async(run: FlowRun) -> Outcome:
    try:
        while run.submissions.open:
            if run.terminated_by is not None:
                return Outcome(None, TerminationSignal(run.terminated_by))
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
        run.recorder.flush(5.0)
        console.flush()


@contextlib.contextmanager
def _runner(run: FlowRun) -> Iterator[None]:
    _start_runner(run)
    try:
        yield
    finally:
        run.runner.stop()


def _start_runner(run: FlowRun) -> None:
    if run.parent is None:
        line(run, INFO, run.runner.announcement)
    run.runner.start(run)


def _crash(run: FlowRun, error: BaseException) -> None:
    """Something outside of the function's call ended the run: record it, whatever it is."""
    from flowdeck.failures import capture as capture_failure
    from flowdeck.flow_run import _record_failure
    from flowdeck.runs import Stop

    if run.state.is_final():
        return
    run.stop_tasks(Stop.CRASH)
    run.give_up_tasks()
    state: State[Any] = Crashed(message=crash_message(error), data=error)
    _record_failure(run, state, error)
    run.enter(state)
    line(run, ERROR, f"Crash detected! {state.message}")
    for hook in run.flow.on_crashed:
        run_hook(CallHook(hook, {"flow": run.flow, "flow_run": run.info, "state": state}))
    engine_line(run, DEBUG, "Crash details:\n" + capture_failure(error).text)
