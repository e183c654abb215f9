"""Reading what runs failed of: the lookups behind :func:`flowdeck_store.read.causes.cause_of`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flowdeck_store.ids import span
from flowdeck_store.read import causes
from flowdeck_store.read.runs import RunReads
from flowdeck_store.read.tasks import BAD, TaskReads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

#: How many subflows of one run are looked into for where an error came from.
_SUBFLOWS: Final = 20


class CauseReads(RunReads, TaskReads):
    """What ended runs; part of :class:`flowdeck_store.read.reader.Reader`."""

    def cause(self, run: FlowRunRecord) -> causes.Cause | None:
        """Return what a failed or crashed run failed of, see :mod:`flowdeck_store.read.causes`."""
        return causes.cause_of(run, self)

    def causes(self, runs: Iterable[FlowRunRecord]) -> dict[int, causes.Cause]:
        """Return what these runs failed of, by run id; those that did not fail are left out."""
        return {run.id: cause for run in runs if (cause := self.cause(run)) is not None}

    def first_failure(self, run_id: int) -> TaskRunRecord | None:
        """Return the task run that failed or crashed first, by time."""
        return self.first_failures([run_id]).get(run_id)

    def failed_with(self, run_id: int, error: str) -> TaskRunRecord | None:
        """Return the first failed or crashed task run whose message says ``error``."""
        messages = [error, *(begin + error for begin in causes.BOILERPLATE)]
        ids = self._ids(
            f"t.id BETWEEN ? AND ? AND {BAD} AND t.state_msg IN (SELECT value FROM json_each(?)) "
            "ORDER BY t.id LIMIT 1",
            (*span(run_id), json.dumps(messages)),
        )
        return self.tasks_by_ids(ids)[0] if ids else None

    def failed_subflows(self, run_id: int) -> list[TaskRunRecord]:
        """Return the first failed task runs that stand for subflow runs."""
        ids = self._ids(
            f"t.id BETWEEN ? AND ? AND {BAD} AND t.child_run IS NOT NULL ORDER BY t.id LIMIT ?",
            (*span(run_id), _SUBFLOWS),
        )
        return self.tasks_by_ids(ids)
