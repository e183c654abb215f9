"""Read models of figures over many rows: groups, timelines, histograms, totals.

Times are integer microseconds since the epoch, durations float seconds, ``counts`` tuples in the
order of :data:`flowdeck_store.states.BUCKETS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from flowdeck_store.read.records import InState

if TYPE_CHECKING:
    from pathlib import Path

SegmentKind: TypeAlias = Literal["wait", "run", "retry", "pause"]


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """All task runs of one task (definition) within a flow run."""

    task: str
    task_key: str
    counts: tuple[int, ...]
    retrying: int  # waiting for or in a retry; these are in ``counts`` too
    p50: float | None  # median seconds of the ended ones that really ran
    longest: float | None
    longest_no: int | None
    first_us: int | None  # first start
    last_us: int | None  # last end; None while nothing has ended

    @property
    def n(self) -> int:
        """How many task runs the group has."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class GroupEdge:
    """``count`` task runs of ``target`` take something from task runs of ``source`` (task keys)."""

    source: str
    target: str
    count: int


@dataclass(frozen=True, slots=True)
class TaskGraph:
    """The tasks of a run, grouped by definition, and what flows between the groups."""

    groups: tuple[TaskGroup, ...]  # in the order of their first task run
    edges: tuple[GroupEdge, ...]


@dataclass(frozen=True, slots=True)
class TimelineSegment:
    """A stretch of a task run's life. ``end_us`` is ``None`` for what goes on."""

    start_us: int
    end_us: int | None
    kind: SegmentKind
    attempt: int  # which attempt runs, or is waited for


@dataclass(frozen=True, slots=True)
class TimelineRow(InState):
    """One line of the timeline."""

    no: int
    name: str
    label: str
    code: int
    named: str | None
    worker: str | None
    segments: tuple[TimelineSegment, ...]


@dataclass(frozen=True, slots=True)
class HistogramBucket:
    """Runs created in ``[start_us, start_us + width)``."""

    start_us: int
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Figures over the runs that a filter lets through."""

    counts: tuple[int, ...]
    p50: float | None  # seconds of the completed ones
    p95: float | None

    @property
    def total(self) -> int:
        """How many runs the filter lets through."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Totals:
    """How much the record holds."""

    run_counts: tuple[int, ...]
    task_counts: tuple[int, ...]
    logs: int
    live: int  # flow runs that have not ended

    @property
    def runs(self) -> int:
        """How many flow runs there are."""
        return sum(self.run_counts)

    @property
    def task_runs(self) -> int:
        """How many task runs there are."""
        return sum(self.task_counts)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """The files and versions of a store. Sizes in bytes; 0 for what is not there."""

    path: Path
    exists: bool
    db_bytes: int
    wal_bytes: int
    journal_bytes: int
    results_bytes: int
    schema: int
    written_by: str | None
    sqlite: str
    totals: Totals

    @property
    def bytes(self) -> int:
        """All of it on the disk."""
        return self.db_bytes + self.wal_bytes + self.journal_bytes + self.results_bytes
