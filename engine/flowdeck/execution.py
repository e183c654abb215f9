"""Drives the lifecycle of a task run: on a thread, in pieces where it sleeps, or on a loop."""

from __future__ import annotations

import functools
import threading
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from flowdeck import capture, context, waiting
from flowdeck.deadlines import DeadlineExceeded, call_with_deadline
from flowdeck.exceptions import TaskCancelled
from flowdeck.interrupts import executing
from flowdeck.steps import (
    Call,
    Outcome,
    Sleep,
    Step,
    WaitForRuns,
    finished,
    run_hook,
    run_hook_async,
)
from flowdeck.task_run import lifecycle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.run_state import State
    from flowdeck.runs import TaskRun


class Execution:
    """Drives the lifecycle of one task run, in pieces where it sleeps."""

    __slots__ = ("_generator", "_outcome", "run")

    def __init__(self, run: TaskRun) -> None:
        self.run = run
        # Made when it starts: while it is queued, with 100,000 others, it would cost 300 bytes.
        self._generator: Generator[Step, Any, State[Any]] | None = None
        self._outcome: Outcome | None = None

    def advance(self) -> float | None:
        """Go on, on this thread, until the run ends (``None``) or sleeps (seconds)."""
        run = self.run
        token = context.current_task_run.set(run)
        try:
            if not run.log_prints:
                return self._go_on()
            with capture.prints(True):
                return self._go_on()
        finally:
            context.current_task_run.reset(token)

    def _go_on(self) -> float | None:
        generator = self._generator
        if generator is None:
            generator = self._generator = lifecycle(self.run)
        send, outcome = generator.send, self._outcome
        while True:
            try:
                step = send(outcome)
            except StopIteration:
                return None
            if type(step) is Call:
                outcome = call(self.run, step)
            elif type(step) is Sleep:
                self._outcome = None
                return step.seconds
            elif type(step) is WaitForRuns:
                waiting.wait(step.runs)
                outcome = None
            else:
                outcome = run_hook(step)  # type: ignore[arg-type]

    def run_here(self) -> State[Any]:
        """Run to the end on this thread."""
        while True:
            seconds = self.advance()
            if seconds is None:
                return self.run.state
            wait_unless_cancelled(self.run, seconds)

    async def run_async(self) -> State[Any]:
        """Run to the end on this loop."""
        run, outcome = self.run, None
        send = lifecycle(run).send
        token = context.current_task_run.set(run)
        try:
            with capture.prints(run.log_prints):
                while True:
                    try:
                        step = send(outcome)
                    except StopIteration:
                        return run.state
                    outcome = None
                    if type(step) is Call:
                        outcome = await call_async(run, step)
                    elif type(step) is Sleep:
                        await _sleep_unless_cancelled(run, step.seconds)
                    elif type(step) is WaitForRuns:
                        await waiting.wait_async(step.runs)
                    else:
                        outcome = await run_hook_async(step)  # type: ignore[arg-type]
        finally:
            context.current_task_run.reset(token)


def wait_unless_cancelled(run: TaskRun, seconds: float) -> None:
    """Sleep, but wake when the run is asked to stop."""
    woken = threading.Event()
    before, run.interrupt = run.interrupt, woken.set
    try:
        if not run.cancel_requested:
            woken.wait(seconds)
    finally:
        run.interrupt = before


async def _sleep_unless_cancelled(run: TaskRun, seconds: float) -> None:
    """As :func:`wait_unless_cancelled`, on a loop."""
    import asyncio

    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    before, run.interrupt = run.interrupt, wake
    try:
        if not run.cancel_requested:
            async with asyncio.timeout(seconds):
                await woken.wait()
    except TimeoutError:
        pass
    finally:
        run.interrupt = before


def call(run: TaskRun, step: Call) -> Outcome:
    """Call the user's function on this thread (an async one on one of the engine's loops)."""
    try:
        if run.task.isasync:
            from flowdeck import loop

            return loop.run(call_async, run, step)  # type: ignore[no-any-return]
        with executing(run):
            if step.timeout is not None:
                whole = functools.partial(_finished_call, step.fn)
                return Outcome(call_with_deadline(whole, step.args, step.kwargs, step.timeout))
            value = step.fn(*step.args, **step.kwargs)
            return Outcome(list(value) if type(value) is GeneratorType else value)
    except BaseException as error:
        return Outcome(None, error)


def _finished_call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return finished(fn(*args, **kwargs))


async def call_async(run: TaskRun, step: Call) -> Outcome:
    """Call the user's async function on this loop; a request to cancel ends it at an await."""
    import asyncio

    import anyio

    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as asked:

        def interrupt() -> None:
            loop.call_soon_threadsafe(asked.cancel)

        run.interrupt = interrupt
        try:
            with anyio.move_on_after(step.timeout) as clock:
                return Outcome(finished(await step.fn(*step.args, **step.kwargs)))
        except BaseException as error:
            if asked.cancel_called:
                return Outcome(None, TaskCancelled())
            if not clock.cancel_called:
                return Outcome(None, error)
            # What a function raises while it is being stopped is of no use to anybody.
        finally:
            run.interrupt = None
        if clock.cancel_called:
            name = threading.current_thread().name
            late = DeadlineExceeded(step.timeout or 0.0, abandoned=False, thread_name=name)
            return Outcome(None, late)
    return Outcome(None, TaskCancelled())
