"""One task after another, on the flow's own thread or loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from flowdeck.execution import Execution
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.transitions import crash_message

if TYPE_CHECKING:
    from flowdeck.runs import TaskRun


class SequentialTaskRunner(BaseTaskRunner):
    """Runs each submitted task at once, so they run in submission order. Async tasks of an async
    flow run on the flow's loop; others on the calling thread."""

    submit_blocks: ClassVar[bool] = True

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.SEQUENTIAL

    def _submit(self, run: TaskRun) -> None:
        execute_here(run)

    async def submit_async(self, run: TaskRun) -> None:
        await execute_on_this_loop(run)


def execute_here(run: TaskRun) -> None:
    """Run to the end on this thread, in the context that was captured at the call."""
    assert run.context is not None
    try:
        run.context.run(Execution(run).run_here)
    except BaseException as error:  # not of the task's function: an interrupt in between, a hook
        run.owner.submissions.crash(run, crash_message(error), error)
        raise
    run.owner.ended(run)


async def execute_on_this_loop(run: TaskRun) -> None:
    """Run to the end on this loop, in the context that was captured at the call."""
    import asyncio

    try:
        await asyncio.get_running_loop().create_task(
            Execution(run).run_async(), name=run.name, context=run.context
        )
    except BaseException as error:
        run.owner.submissions.crash(run, crash_message(error), error)
        raise
    run.owner.ended(run)
