"""Rows for line views from the store: an index of keys in their order, and records by key.

An index costs 8 bytes a row (or nothing, where keys are dense), so any row can be jumped to, and
the order stays as it is until :meth:`renew` takes a new one.
"""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Final, TypeVar

from flowdeck_app.access import ROWS, SLOW, StoreAccess
from flowdeck_app.index_source import IndexSource
from flowdeck_app.views.rows import RunRow, TaskRow
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.views.timeline import Bar, bar_of, bar_of_group, lanes
from flowdeck_app.widgets.lines.source import Key, MemorySource
from flowdeck_store.ids import number_of
from flowdeck_store.query.language import quote
from flowdeck_store.query.ordering import RowIndex
from flowdeck_store.read.causes import plain
from flowdeck_store.states import CRASHED, FAILED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.read.summaries import TimelineRow

R = TypeVar("R")
T = TypeVar("T")

#: Seconds for which a flow's median duration is taken as known.
_P50_KEPT: Final = 15.0
_CAUSES_KEPT: Final = 2_000
#: What the order "problems" begins with.
_PROBLEM: Final = "state:problem"
#: Task runs that worker lanes are made of.
_LANED: Final = 5000


class TaskSource(IndexSource[TaskRow]):
    """The task runs of a run. Keys are packed task ids.

    Args:
        access: the app's lanes.
        run_id: number of the flow run.
        query: filter text of :mod:`flowdeck_store.query.language`.
        order: sort order of ``Reader.tasks``.
    """

    def __init__(
        self, access: StoreAccess, run_id: int, query: str = "", order: str = "problems"
    ) -> None:
        super().__init__(access)
        self.run_id, self.query, self.order = run_id, query, order

    def _look(self, reader: Reader) -> RowIndex:
        if self.order == "problems":
            problems = reader.task_index(self.run_id, f"{self.query} {_PROBLEM}")
            self.problems_first = len(problems)
        return reader.task_index(self.run_id, self.query, self.order)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[TaskRow]:
        records = reader.tasks_by_ids(keys)
        edges = reader.upstreams(self.run_id, [record.no for record in records])
        return [TaskRow(record, tuple(edges.get(record.no, ()))) for record in records]

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return reader.task_index(self.run_id, f"{self.query} {quote(text)}").ids

    def key(self, row: TaskRow) -> int:
        """Return the packed task id."""
        return row.record.id


class RunSource(IndexSource[RunRow]):
    """Flow runs. Keys are run numbers.

    Args:
        access: the app's lanes.
        query: filter text.
        order: sort order of ``Reader.runs``.
        roots: leave subflow runs out.
        most: show at most so many (the newest, the worst… by the order); 0: all.
    """

    def __init__(
        self,
        access: StoreAccess,
        query: str = "",
        order: str = "newest",
        *,
        roots: bool = True,
        most: int = 0,
    ) -> None:
        super().__init__(access)
        self.query, self.order, self.roots, self.most = query, order, roots, most
        self._p50: dict[tuple[str, str], tuple[float, float | None]] = {}
        self._causes: dict[tuple[int, int], Cause | None] = {}

    def _look(self, reader: Reader) -> RowIndex:
        if self.most:
            records = reader.runs(self.query, limit=self.most, order=self.order, roots=self.roots)
            return RowIndex(array("q", [record.id for record in records]), False)
        if self.order == "problems":
            problems = reader.run_index(f"{self.query} {_PROBLEM}", roots=self.roots)
            self.problems_first = len(problems)
        return reader.run_index(self.query, self.order, roots=self.roots)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[RunRow]:
        records = reader.runs_by_ids(keys)
        failed = reader.first_failures(
            r.id
            for r in records
            if (r.counts[4] or r.counts[5]) and r.code not in {FAILED, CRASHED}
        )
        wrong = [record.uid for record in records if record.code in {FAILED, CRASHED}]
        repaired = reader.repaired(wrong) if wrong else {}
        return [
            RunRow(
                record,
                where,
                self._median(reader, record),
                repaired[record.uid][1] if record.uid in repaired else None,
                error,
            )
            for record in records
            for where, error in [_failed_in(self._cause(reader, record), failed.get(record.id))]
        ]

    def _cause(self, reader: Reader, run: FlowRunRecord) -> Cause | None:
        """Return what a run failed of; looked for once, a run of 100,000 failures takes 50 ms."""
        if run.code not in {FAILED, CRASHED}:
            return None
        key = run.id, run.state_us
        if key not in self._causes:
            if len(self._causes) >= _CAUSES_KEPT:
                self._causes.clear()
            self._causes[key] = reader.cause(run)
        return self._causes[key]

    def _median(self, reader: Reader, run: FlowRunRecord) -> float | None:
        flow_of = (run.flow_key, run.flow)
        known = self._p50.get(flow_of)
        now = time.monotonic()
        if known is None or now - known[0] > _P50_KEPT:
            flow = reader.flow_of(run)
            known = self._p50[flow_of] = (now, None if flow is None else flow.p50_seconds)
        return known[1]

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return reader.run_index(f"{self.query} {quote(text)}", roots=self.roots).ids

    def key(self, row: RunRow) -> int:
        """Return the run's number."""
        return row.record.id


class TimelineSource(IndexSource[Bar]):
    """Task runs of a run as bars over time, in the order of their start.

    Keys are packed task ids. ``start_us`` and ``end_us`` are those of the run, as of the last look.
    """

    def __init__(
        self, access: StoreAccess, run_id: int, query: str = "", order: str = "start"
    ) -> None:
        super().__init__(access)
        self.run_id, self.query, self.order = run_id, query, order
        self.start_us: int | None = None
        self.end_us: int | None = None

    def _look(self, reader: Reader) -> RowIndex:
        run = reader.run(self.run_id)
        if run is not None:
            self.start_us = zero_us(run)
            self.end_us = run.ended_us
        return reader.task_index(self.run_id, self.query, self.order)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[Bar]:
        rows = reader.timeline(self.run_id, [number_of(key) for key in keys])
        return [bar_of(row, self.run_id) for row in rows]

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return reader.task_index(self.run_id, f"{self.query} {quote(text)}").ids

    def key(self, row: Bar) -> int:
        """Return the packed task id."""
        return int(row.key)


class ListSource(MemorySource[R]):
    """A short list that is read whole at every renewal: flows, groups, workers.

    Args:
        access: the app's lanes.
        load: reads the list.
        key: what names a row.
        text: a row as text, for searching.
        lane: in which lane to ask.
    """

    def __init__(
        self,
        access: StoreAccess,
        load: Callable[[Reader], Sequence[R]],
        *,
        key: Callable[[R], Key],
        text: Callable[[R], str] = str,
        lane: str = ROWS,
    ) -> None:
        super().__init__(key=key, text=text)
        self._access, self._load, self._lane = access, load, lane
        self._lent: Reader | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` on the lane's thread."""

        def with_reader(reader: Reader) -> T:
            self._lent = reader
            return work()

        return await self._access.ask(with_reader, self._lane)

    def renew(self) -> None:
        """Read the list."""
        if self._lent is None:
            raise RuntimeError("a source is asked through its run()")
        self.rows = self._load(self._lent)
        super().renew()

    def again(self, rows: Sequence[R]) -> Sequence[R | None]:
        """Read the list and return the same rows as they are now."""
        if self._lent is not None:
            self.rows = self._load(self._lent)
        return super().again(rows)


def group_bars(access: StoreAccess, run_id: int) -> ListSource[Bar]:
    """Return the source of a timeline with one folded bar a task."""

    def load(reader: Reader) -> list[Bar]:
        return [bar_of_group(group) for group in reader.task_groups(run_id)]

    return ListSource(access, load, key=lambda bar: bar.key, text=lambda bar: bar.name)


def worker_bars(access: StoreAccess, run_id: int) -> ListSource[Bar]:
    """Return the source of a timeline with one bar a worker (of the first 5,000 task runs)."""

    def load(reader: Reader) -> list[Bar]:
        run = reader.run(run_id)
        if run is None:
            return []
        index = reader.task_index(run_id, order="start")
        rows = reader.timeline(run_id, [number_of(key) for key in index.slice(0, _LANED)])
        end = run.ended_us or max((run.state_us, *(_last_us(row) for row in rows)))
        return lanes(rows, zero_us(run), end)

    return ListSource(access, load, key=lambda bar: bar.key, text=lambda bar: bar.name, lane=SLOW)


def _last_us(row: TimelineRow) -> int:
    return max((s.end_us or s.start_us for s in row.segments), default=0)


def _failed_in(cause: Cause | None, first: TaskRunRecord | None) -> tuple[str | None, str]:
    """Return what a run failed in, and of what: of its end's cause, or the first task run that failed
    so far."""
    if cause is not None:
        return cause.where or None, cause.error
    return (None, "") if first is None else (first.label, plain(first.message))
