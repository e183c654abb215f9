"""One task after another, on the flow's own thread or loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from flowdeck.lifecycle.execution import execute_here, execute_on_this_loop
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from flowdeck.runs.task_run import TaskRun


class SequentialTaskRunner(BaseTaskRunner):
    """Runs each submitted task at once, so they run in submission order. Async tasks of an async
    flow run on the flow's loop; others on the calling thread."""

    submit_blocks: ClassVar[bool] = True
    may_refuse: ClassVar[bool] = False

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.SEQUENTIAL

    def _submit(self, run: TaskRun) -> None:
        execute_here(run)

    async def submit_async(self, run: TaskRun) -> None:
        await execute_on_this_loop(run)
