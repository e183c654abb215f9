"""What one row of a table needs: a record and the few facts about it that lie elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord, UpstreamRecord


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task run and what it takes its inputs from."""

    record: TaskRunRecord
    upstreams: tuple[UpstreamRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    """A flow run, its first failed task, the median duration of its flow, and the name of the run
    that did it again and completed."""

    record: FlowRunRecord
    failed_in: str | None = None
    p50: float | None = None
    repaired_by: str | None = None
