"""The step that calls a task's function, within its time limit, so that it can be stopped."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import TaskCancelled
from flowdeck.inputs import nested
from flowdeck.lifecycle.steps import CallResult, Step, finished, finished_async
from flowdeck.metrics.task_usage import ThreadClock
from flowdeck.runs import stopping
from flowdeck.threads import child_processes, loop
from flowdeck.threads.deadlines import DeadlineExceeded, call_with_deadline
from flowdeck.threads.interrupts import executing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.runs.task_run import TaskRun


class Call(Step):
    """Call the task's function. ``timeout`` in seconds, ``None`` for no limit."""

    __slots__ = ("args", "fn", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float | None,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.timeout = timeout

    def carry_out(self, run: TaskRun) -> CallResult:
        """Call it on this thread (an async one on one of the engine's loops)."""
        clock = ThreadClock()
        try:
            if run.task.isasync:
                return loop.run(self.carry_out_async, run)  # type: ignore[no-any-return]
            with executing(run):
                if self.timeout is not None:
                    whole = functools.partial(_finished_call, self.fn, clock)
                    end = functools.partial(_end_children, run)
                    value = call_with_deadline(
                        whole, self.args, self.kwargs, self.timeout, stop=end
                    )
                else:
                    with clock:
                        value = self.fn(*self.args, **self.kwargs)
                        if type(value) not in nested.ATOMIC:
                            value = finished(value)
                return CallResult(value, None, clock.usage)
        except BaseException as error:
            if child_processes.was_stopped(error):
                child_processes.end(run)
            return CallResult(None, error, clock.usage)

    async def carry_out_async(self, run: TaskRun) -> CallResult:
        """Call it on this loop; a request to cancel ends it at an await."""
        import asyncio

        import anyio

        here = asyncio.get_running_loop()
        with anyio.CancelScope() as asked:

            def interrupt() -> None:
                here.call_soon_threadsafe(asked.cancel)
                child_processes.end(run)  # it may block the loop in a wait for one

            run.interrupt = interrupt
            try:
                with anyio.move_on_after(self.timeout) as clock:
                    return CallResult(await finished_async(self.fn(*self.args, **self.kwargs)))
            except BaseException as error:
                if child_processes.was_stopped(error):
                    child_processes.end(run)
                if asked.cancel_called:
                    return CallResult(None, TaskCancelled())
                if not clock.cancel_called:
                    return CallResult(None, error)
                # What a function raises while it is being stopped is of no use to anybody.
            finally:
                run.interrupt = None
            if clock.cancel_called:
                name = threading.current_thread().name
                late = DeadlineExceeded(self.timeout or 0.0, thread_name=name)
                return CallResult(None, late)
        return CallResult(None, TaskCancelled())


def _end_children(run: TaskRun) -> float:
    """End the child processes and the subflow runs of a run, and return how many seconds that may
    take."""
    seconds = 1.5 * child_processes.GRACE if child_processes.end(run) else 0.0
    return seconds + (stopping.GRACE if stopping.stop_subflows(run) else 0.0)


def _finished_call(fn: Callable[..., Any], clock: ThreadClock, *args: Any, **kwargs: Any) -> Any:
    with clock:
        return finished(fn(*args, **kwargs))
