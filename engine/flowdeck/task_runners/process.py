"""Tasks in processes on this machine, without Dask or Ray."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowdeck.settings.amounts import amounts
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._process.process_run import ProcessRun


class ProcessTaskRunner(BaseTaskRunner):
    """Runs tasks in worker processes on this machine: for work that keeps the processor busy.

    A task that does not stop when it is cancelled or its time is up is ended with its process, and
    one whose process dies is *Crashed*; the others go on. The processes are started when there is
    something to do, and kept for the next flow run of this process.

    Args:
        max_workers: how many processes may execute tasks at the same time. Default: one for each
            processor.

        resources: what tasks with ``resources=`` may use together: ``{"gpu": 2}``. Default: the
            setting ``resources``, and what the machine has.

    Raises:
        TypeError, ValueError: ``max_workers`` is less than 1, or ``resources`` are no amounts.

    Example:
        >>> ProcessTaskRunner(max_workers=4)
        ProcessTaskRunner(max_workers=4)
    """

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
        self._process_run: ProcessRun | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.PARALLEL

    def _start(self, flow_run: FlowRun) -> None:
        from flowdeck.task_runners._process.process_run import ProcessRun

        self._process_run = ProcessRun(flow_run, self.max_workers or os.cpu_count() or 1)

    def _stop(self) -> None:
        process_run, self._process_run = self._process_run, None
        if process_run is not None:
            process_run.close()

    def _submit(self, run: TaskRun) -> None:
        assert self._process_run is not None
        self._process_run.submit(run)

    def map_is_over(self) -> None:
        if self._process_run is not None:
            self._process_run.flush()

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits for a worker, else have its function stop, or its process end."""
        if self._process_run is not None:
            self._process_run.cancel(run)

    def pass_answer(self, answer: bytes) -> None:
        """Pass the answer to a question on to every worker."""
        if self._process_run is not None:
            self._process_run.pass_answer(answer)

    def drop_queued(self) -> list[TaskRun]:
        """Take back what waits for a worker."""
        return [] if self._process_run is None else self._process_run.drop_queued()
