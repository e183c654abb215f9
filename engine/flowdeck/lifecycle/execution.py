"""Executing task runs: a driver that is inside the run while it drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.lifecycle import prints
from flowdeck.lifecycle.drive import Driver
from flowdeck.lifecycle.steps import traced
from flowdeck.lifecycle.task import lifecycle
from flowdeck.threads import active

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.lifecycle.steps import Step
    from flowdeck.runs.task_run import TaskRun


class Execution(Driver):
    """Drives the lifecycle of one task run, or the part of it that ``steps`` begins."""

    __slots__ = ()
    run: TaskRun

    def __init__(
        self, run: TaskRun, steps: Callable[[TaskRun], Generator[Step, Any, Any]] = lifecycle
    ) -> None:
        super().__init__(run, steps)

    def advance(self) -> float | None:
        """Go on, on this thread, until the run ends (``None``) or sleeps (seconds)."""
        run = self.run
        token = active.current_task_run.set(run)
        try:
            if not run.log_prints and run.info.trace is None:
                return Driver.advance(self)
            with prints.captured(run.log_prints), traced(run):
                return Driver.advance(self)
        finally:
            active.current_task_run.reset(token)

    async def run_async(self) -> Any:
        """Run to the end on this loop."""
        run = self.run
        token = active.current_task_run.set(run)
        try:
            with prints.captured(run.log_prints), traced(run):
                return await super().run_async()
        finally:
            active.current_task_run.reset(token)


def execute_here(run: TaskRun) -> None:
    """Run to the end on this thread, in the context that was captured at the call.

    What escapes is not of the task's function: an interrupt in between, a hook. The caller ends the
    run then.
    """
    assert run.context is not None
    run.context.run(Execution(run).run_here)
    run.owner.ended(run)


async def execute_on_this_loop(run: TaskRun) -> None:
    """As :func:`execute_here`, on this loop."""
    import asyncio

    await asyncio.get_running_loop().create_task(
        Execution(run).run_async(), name=run.name, context=run.context
    )
    run.owner.ended(run)
