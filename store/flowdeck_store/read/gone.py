"""Showing runs as dead whose process is gone while their end cannot be recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowdeck_store.file import left_behind
from flowdeck_store.read.base import ReaderBase
from flowdeck_store.states import BUCKET_OF_CODE, CRASHED, PENDING, RUNNING, SCHEDULED

if TYPE_CHECKING:
    from flowdeck_store.file.left_behind import DeadSessions
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: Name of the state that is shown.
DEAD: Final = "Dead"
_OPEN_BUCKETS: Final = frozenset(BUCKET_OF_CODE[code] for code in (SCHEDULED, PENDING, RUNNING))
_CRASHED_BUCKET: Final = BUCKET_OF_CODE[CRASHED]
_RUNS: Final = (
    "SELECT r.id, coalesce(s.beat_us, r.state_us) FROM flow_runs r "
    "LEFT JOIN sessions s ON s.id = r.session_id WHERE r.ended_us IS NULL AND "
    "(s.uid IN (SELECT value FROM json_each(?)) OR r.id IN (SELECT value FROM json_each(?)))"
)


class GoneReads(ReaderBase):
    """What the reads of runs and task runs have in common."""

    _left: DeadSessions | None = None
    _gone: dict[int, int]  # their last sign of life, by number

    def _gone_runs(self) -> dict[int, int]:
        left = left_behind.left_in(self.home)
        if left is None:
            return {}
        if left is not self._left:
            keys = (json.dumps(sorted(left.sessions)), json.dumps(sorted(left.launches)))
            self._gone = dict(self._rows(_RUNS, keys))
            self._left = left
        return self._gone

    def _run_as_it_is(self, run: FlowRunRecord) -> FlowRunRecord:
        gone = self._gone_runs()
        if run.id not in gone or run.ended_us is not None or self._left is None:
            return run
        open_tasks = sum(run.counts[index] for index in _OPEN_BUCKETS)
        counts = [0 if i in _OPEN_BUCKETS else count for i, count in enumerate(run.counts)]
        counts[_CRASHED_BUCKET] += open_tasks
        return replace(
            run,
            code=CRASHED,
            named=DEAD,
            message=self._left.message,
            ended_us=max(gone[run.id], run.state_us),
            counts=tuple(counts),
            asks=0,
        )

    def _task_as_it_is(self, task: TaskRunRecord) -> TaskRunRecord:
        gone = self._gone_runs()
        if task.run_id not in gone or task.ended_us is not None or self._left is None:
            return task
        return replace(
            task,
            code=CRASHED,
            named=DEAD,
            message=self._left.message,
            ended_us=max(gone[task.run_id], task.state_us),
        )
