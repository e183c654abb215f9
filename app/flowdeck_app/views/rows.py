"""What one row of a table needs: a record and the few facts about it that lie elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_app.drawing.stems import Fold

if TYPE_CHECKING:
    from flowdeck_app.views.run_groups import RunHeading
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord, UpstreamRecord
    from flowdeck_store.read.tree.runs import Stem


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task run, what it takes its inputs from, and where it lies in a tree."""

    record: TaskRunRecord
    upstreams: tuple[UpstreamRecord, ...] = ()
    stem: Stem = ()
    fold: Fold = Fold.NONE


@dataclass(frozen=True, slots=True)
class RunRow:
    """A flow run, what it failed in and of, the median duration of its flow, the name of the run that
    did it again and completed, and the heading that stands in its place, if it is none."""

    record: FlowRunRecord
    failed_in: str | None = None
    p50: float | None = None
    repaired_by: str | None = None
    error: str = ""
    heading: RunHeading | None = None
