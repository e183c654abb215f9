"""The two drivers: each asks a lifecycle for its next step and has it carried out, until there is none.

One goes on a thread and one on a loop, for flow runs, task runs and admissions alike. The first may be
left at a sleep, in the middle of a lifecycle, and be gone on with later on any thread: that is how
thousands of task runs wait for their retry or their slot without a thread each.

There were four of these once, one pair for tasks and one for flows, and each knew what every step means.
Now a step knows that, and a new one is a class and no branch in four loops. What is left to a driver
costs a task run less than a microsecond for each step.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flowdeck.lifecycle.steps import Sleep
from flowdeck.threads import loop

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.lifecycle.steps import CallResult, Step
    from flowdeck.runs.task_run import TaskRun


class Driver:
    """Drives one lifecycle, or a part of one.

    Args:
        run: the task run or flow run.
        steps: begins the lifecycle.

    Attributes:
        result: what the steps returned, once they are over.
    """

    __slots__ = ("_result_of_step", "_steps", "_under_way", "result", "run")

    def __init__(self, run: Any, steps: Callable[[Any], Generator[Step, Any, Any]]) -> None:
        self.run = run
        self._steps = steps
        # Made when it starts: while it is queued, with 100,000 others, it would cost 300 bytes.
        self._under_way: Generator[Step, Any, Any] | None = None
        self.result: Any = None
        self._result_of_step: CallResult | None = None

    def advance(self) -> float | None:
        """Go on, on this thread, until the steps are over (``None``) or sleep (seconds)."""
        run, steps = self.run, self._under_way
        if steps is None:
            steps = self._under_way = self._steps(run)
        send, result = steps.send, self._result_of_step
        while True:
            try:
                step = send(result)
            except StopIteration as end:
                self.result = end.value
                return None
            if type(step) is Sleep:
                self._result_of_step = None
                return step.seconds
            result = step.carry_out(run)

    def run_here(self) -> Any:
        """Go on to the end on this thread; return what the steps returned."""
        while True:
            seconds = self.advance()
            if seconds is None:
                return self.result
            Sleep(seconds).carry_out(self.run)

    async def run_async(self) -> Any:
        """Go on to the end on this loop; return what the steps returned."""
        run, result = self.run, None
        send = self._steps(run).send
        while True:
            try:
                step = send(result)
            except StopIteration as end:
                return end.value
            result = await step.carry_out_async(run)


class Parked:
    """A task run that sleeps without a thread.

    Args:
        run: the task run.
        resume: goes on with it, on whatever thread calls; must not block.
    """

    def __init__(self, run: TaskRun, resume: Callable[[], object]) -> None:
        self._run = run
        self._resume = resume
        self._lock = threading.Lock()
        self._over = False

    def sleep(self, seconds: float) -> None:
        """Go on after ``seconds``, or at once when the run is asked to stop. Does not wait."""
        self._run.interrupt = self.wake
        loop.call_later(seconds, self.wake)
        if self._run.cancel_requested:
            self.wake()

    def wake(self) -> None:
        """Go on now; only the first call does."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self._run.interrupt = None
        self._resume()
