"""Everything the task screen shows, read in one go on a lane's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.outlines import outline_of
from flowdeck_store.read.records import TaskRunRecord
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from flowdeck_store.outlines import Outline
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import (
        AttemptRecord,
        FailureRecord,
        FlowRunRecord,
        ProgressRecord,
        ResultRecord,
        SameFailures,
        StateRecord,
        UpstreamRecord,
    )

#: Task runs listed under "Goes to", failures read (one an attempt), runs named under "Also".
MOST_TAKERS: Final = 50
MOST_FAILURES: Final = 50
MOST_RUNS: Final = 3


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One task run (number 0: the flow function itself) as of one moment.

    Attributes:
        failures: oldest first, one an attempt.
        takers: task runs that take its result, and in ``more_takers`` how many are not read.
        same: where else the last failure was recorded.
        same_runs: some of those runs, newest first.
    """

    run: FlowRunRecord
    record: TaskRunRecord
    states: tuple[StateRecord, ...]
    attempts: tuple[AttemptRecord, ...]
    failures: tuple[FailureRecord, ...]
    parameters: dict[str, str]
    upstreams: tuple[UpstreamRecord, ...]
    takers: tuple[TaskRunRecord, ...]
    more_takers: int
    result: ResultRecord | None
    outline: Outline | None
    n_logs: int
    n_artifacts: int
    same: SameFailures | None
    same_runs: tuple[FlowRunRecord, ...]

    @property
    def can_cancel(self) -> bool:
        """Whether it is a task run that goes on."""
        record = self.record
        going = self.run.ended_us is None and not is_final(record.code, record.named)
        return going and record.no > 0

    @property
    def can_debug(self) -> bool:
        """Whether it is a task that can be run again by itself."""
        return self.record.no > 0 and self.record.child_run is None

    def attempt_number(self, attempt: int) -> int:
        """Return the number of an attempt; 0 stands for the last."""
        return min(attempt or len(self.attempts), len(self.attempts))

    def failure_of(self, attempt: int) -> FailureRecord | None:
        """Return the failure of an attempt; 0: the last there was."""
        if not attempt:
            return self.failures[-1] if self.failures else None
        return next((f for f in self.failures if f.attempt == attempt), None)

    @property
    def definition(self) -> tuple[str, int] | None:
        """File and line of the flow, for task runs without frames."""
        file, _, line = (self.run.source or "").rpartition(":")
        return (file, int(line)) if file and line.isdigit() else None


def read_facts(reader: Reader, run_id: int, no: int) -> TaskFacts | None:
    """Return what is known of a task run, ``None`` if it is not in the record."""
    run = reader.run(run_id)
    if run is None:
        return None
    record = reader.task(run_id, no) if no else _own(run, reader.progress(run_id))
    if record is None:
        return None
    failures = _failures(reader, run_id, no)
    same, same_runs = _same(reader, run_id, failures[-1] if failures else None)
    edges = reader.downstream(run_id, no) if no else []
    return TaskFacts(
        run=run,
        record=record,
        states=tuple(reader.states(run_id, no)),
        attempts=tuple(reader.attempts(run_id, no)),
        failures=failures,
        parameters=reader.task_parameters(run_id, no) if no else {},
        upstreams=tuple(reader.upstreams(run_id, [no]).get(no, ())) if no else (),
        takers=tuple(reader.tasks_by_ids([edge.task for edge in edges[:MOST_TAKERS]])),
        more_takers=max(0, len(edges) - MOST_TAKERS),
        result=reader.result(run_id, no),
        outline=outline_of(reader.outline(run_id, no)),
        n_logs=reader.count_logs(run_id, no),
        n_artifacts=reader.count_artifacts(run_id, no),
        same=same,
        same_runs=same_runs,
    )


def _own(run: FlowRunRecord, progress: ProgressRecord | None) -> TaskRunRecord:
    """Return the flow function of a run as if it were one of its task runs."""
    return TaskRunRecord(
        run_id=run.id, no=0, run_uid=run.uid, run_name=run.name, task=run.flow,
        task_key=run.flow_key, name=run.flow, map_index=None, code=run.code, named=run.named,
        message=run.message, created_us=run.created_us, started_us=run.started_us,
        ended_us=run.ended_us, state_us=run.state_us, attempt=run.attempt, retries=0, worker=None,
        cache_key=None, child_run=None, progress=progress,
    )  # fmt: skip


def _failures(reader: Reader, run_id: int, no: int) -> tuple[FailureRecord, ...]:
    """Return the first failures, and the last one of many."""
    found = reader.failures(run_id, no, limit=MOST_FAILURES)
    if len(found) == MOST_FAILURES:
        last = reader.last_failure(run_id, no)
        if last is not None and last.id != found[-1].id:
            found.append(last)
    return tuple(sorted(found, key=lambda failure: (failure.attempt, failure.id)))


def _same(
    reader: Reader, run_id: int, failure: FailureRecord | None
) -> tuple[SameFailures | None, tuple[FlowRunRecord, ...]]:
    if failure is None or failure.tb_hash is None:
        return None, ()
    same = reader.same_failures(failure.tb_hash, run_id)
    others = dict.fromkeys(found.run_id for found in same.examples if found.run_id != run_id)
    return same, tuple(reader.runs_by_ids([*others][:MOST_RUNS]))
