"""Sync tasks on worker threads of anyio's, async tasks on event loops.

Only task runs whose upstreams have ended come here, so nothing ever waits for an upstream on a
worker; a task that waits for a task that it submitted gives its slot back meanwhile; one that waits
for a retry or a free tag slot leaves its thread altogether.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.lifecycle.drive import Parked
from flowdeck.lifecycle.execution import Execution
from flowdeck.runs import lost
from flowdeck.settings.amounts import amounts
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.task_runners.loop_pool import LoopPool
from flowdeck.task_runners.thread_pool import FEW, ThreadPool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flowdeck.runs.task_run import TaskRun

#: Threads when the user sets no limit.
DEFAULT_MAX_WORKERS = 250


class ConcurrentTaskRunner(BaseTaskRunner):
    """The default task runner.

    Args:
        max_workers: how many sync tasks, and how many async tasks, may execute at the same time.
            Tasks that wait (for inputs, a retry, a slot, another task) do not count. Default:
            250 threads, and no limit on async tasks. Of the 250 there are few as long as they keep
            the processor busy, and more while ready tasks wait and the processor does not work.

        resources: what tasks with ``resources=`` may use together: ``{"gpu": 2}``. Default: the
            setting ``resources``, and what the machine has.

    Raises:
        TypeError, ValueError: ``max_workers`` is less than 1, or ``resources`` are no amounts.
    """

    may_refuse: ClassVar[bool] = False

    def __init__(
        self,
        max_workers: int | None = None,
        resources: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__()
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
            raise ValueError(f"max_workers must be an integer of at least 1, got {max_workers!r}.")
        self.max_workers = max_workers
        self.resources = amounts(resources)
        limit = max_workers or DEFAULT_MAX_WORKERS
        self._threads = ThreadPool(limit, self._advance, first=max_workers or FEW)
        self._loop_tasks = LoopPool(max_workers)

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.CONCURRENT

    def _stop(self) -> None:
        self._threads.stop()

    def _submit(self, run: TaskRun) -> None:
        if run.task.isasync:
            self._loop_tasks.add(run)
        else:
            self._threads.add(Execution(run))

    def _advance(self, execution: Execution) -> None:
        """Go on with a task run on this worker thread until it ends or sleeps."""
        run = execution.run
        context = run.context
        if context is None:  # ended meanwhile: cancelled while it was queued
            return
        try:
            seconds = context.run(execution.advance)
        except BaseException as error:
            # Not the task's function but the engine or a hook: only this run ends, not the worker.
            lost.end_task_run(run, error)
            return
        if seconds is None:
            run.owner.ended(run)
        else:
            Parked(run, lambda: self._threads.add(execution)).sleep(seconds)

    def drop_queued(self) -> list[TaskRun]:
        return [execution.run for execution in self._threads.drain()] + self._loop_tasks.drain()

    def loop_blocked(self, event_loop: Any, runs: Collection[TaskRun]) -> Any:
        return self._loop_tasks.blocked(event_loop, runs)

    @contextlib.contextmanager
    def blocked(self, run: TaskRun, *, awaits: bool = False) -> Iterator[None]:
        if not run.task.isasync:
            self._threads.release()
            try:
                yield
            finally:
                self._threads.reacquire()
            return
        stalls = not awaits and self._loop_tasks.is_loop_of(run)
        self._loop_tasks.release(run, stalls=stalls)
        try:
            yield
        finally:
            self._loop_tasks.reacquire(run, stalls=stalls)
