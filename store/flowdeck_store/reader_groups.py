"""Figures within one flow run: task groups, their graph, timelines, expected durations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.reader_base import NO_MASK, ReaderBase, Row, span
from flowdeck_store.records import quantile
from flowdeck_store.states import (
    BUCKETS,
    CANCELLING,
    COMPLETED,
    FINAL_CODES,
    NOT_READY,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
    bucket,
)
from flowdeck_store.summaries import GroupEdge, Segment, TaskGraph, TaskGroup, TimelineRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.summaries import SegmentKind

AWAITING_RETRY: Final = "AwaitingRetry"
RETRYING: Final = "Retrying"
_RAN: Final = (
    "t.id BETWEEN ? AND ? AND t.ended_us IS NOT NULL AND t.started_us IS NOT NULL "
    "AND t.state_name IS NOT 'Cached'"
)
_COUNTS: Final = (
    "SELECT t.task_id, t.state, t.state_name, count(*), min(t.id), min(t.started_us), "
    "max(t.ended_us) FROM task_runs t WHERE t.id BETWEEN ? AND ? GROUP BY 1, 2, 3"
)
_LONGEST: Final = (  # the bare id is that of the row with the maximum
    f"SELECT t.task_id, max(t.ended_us - t.started_us), t.id FROM task_runs t WHERE {_RAN} "
    "GROUP BY 1"
)
_MEDIAN: Final = (
    "SELECT task_id, d FROM (SELECT t.task_id AS task_id, t.ended_us - t.started_us AS d, "
    "row_number() OVER (PARTITION BY t.task_id ORDER BY t.ended_us - t.started_us) AS nth, "
    f"count(*) OVER (PARTITION BY t.task_id) AS n FROM task_runs t WHERE {_RAN}) "
    "WHERE nth = n / 2 + 1"
)
_EDGES: Final = (
    "SELECT u.task_id, d.task_id, count(*) FROM task_inputs i "
    "JOIN task_runs u ON u.id = i.upstream JOIN task_runs d ON d.id = i.task "
    "WHERE i.task BETWEEN ? AND ? GROUP BY 1, 2"
)
#: How many task runs of one earlier run are looked at for an estimate.
_SAMPLE: Final = 2_000


class GroupReads(ReaderBase):
    """The reads of figures within a run; part of :class:`flowdeck_store.reader.Reader`."""

    def task_groups(self, run_id: int) -> list[TaskGroup]:
        """Return the task runs of a run grouped by task, in the order of their first run."""
        return list(self._groups(run_id).values())

    def graph(self, run_id: int) -> TaskGraph:
        """Return the task groups of a run and how many edges lead from group to group."""
        groups = self._groups(run_id)
        edges = [
            GroupEdge(groups[source].task_key, groups[target].task_key, count)
            for source, target, count in self._rows(_EDGES, span(run_id))
            if source in groups and target in groups
        ]
        return TaskGraph(tuple(groups.values()), tuple(edges))

    def _groups(self, run_id: int) -> dict[int, TaskGroup]:
        limits = span(run_id)
        rows: dict[int, list[Row]] = {}
        for row in self._rows(_COUNTS, limits):
            rows.setdefault(row[0], []).append(row)
        medians: dict[int, int] = dict(self._rows(_MEDIAN, limits))
        longest = {row[0]: row[1:] for row in self._rows(_LONGEST, limits)}
        names = {row[0]: row[1:] for row in self._rows(
            "SELECT id, name, key FROM tasks WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        )}  # fmt: skip
        order = sorted(rows, key=lambda task_id: min(row[4] for row in rows[task_id]))
        return {
            task_id: _group(
                names.get(task_id, ("", "")),
                rows[task_id],
                medians.get(task_id),
                longest.get(task_id, (None, None)),
            )
            for task_id in order
        }

    def expected_seconds(self, run_id: int, runs: int = 10) -> dict[str, float]:
        """Return the median seconds that each task took in earlier completed runs of the flow.

        Args:
            run_id: the run to estimate; only older runs of the same flow are looked at.
            runs: how many of them at most (and at most 2,000 task runs of each).

        Returns:
            Seconds by task key; tasks that never completed before are not in it.
        """
        earlier = self._rows(
            "SELECT id FROM flow_runs WHERE flow_id = (SELECT flow_id FROM flow_runs WHERE id = ?) "
            "AND id < ? AND state = ? ORDER BY id DESC LIMIT ?",
            (run_id, run_id, COMPLETED, runs),
        )
        seconds: dict[int, list[float]] = {}
        for (earlier_id,) in earlier:
            for task_id, took in self._rows(
                f"SELECT t.task_id, (t.ended_us - t.started_us) / 1e6 FROM task_runs t "
                f"WHERE {_RAN} AND t.state = ? LIMIT ?",
                (*span(earlier_id), COMPLETED, _SAMPLE),
            ):
                seconds.setdefault(task_id, []).append(took)
        keys = self._rows(
            "SELECT id, key FROM tasks WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(seconds)),),
        )
        return {key: quantile(seconds[task_id], 0.5) or 0.0 for task_id, key in keys}

    def timeline(self, run_id: int, nos: Iterable[int]) -> list[TimelineRow]:
        """Return the timeline of these task runs, in this order; what does not exist is left out.

        Segments come from the state history: waiting, running, waiting for a retry, paused.
        """
        wanted = list(nos)
        ids = json.dumps([run_id << 24 | no for no in wanted])
        tasks = self._rows(
            "SELECT t.id & 16777215, coalesce(t.name, k.name, ''), t.state, t.state_name, t.worker, "
            "t.created_us, t.started_us, t.ended_us FROM task_runs t "
            "LEFT JOIN tasks k ON k.id = t.task_id "
            "WHERE t.id IN (SELECT value FROM json_each(?))",
            (ids,),
        )
        history: dict[int, list[Row]] = {}
        for no, *entry in self._rows(
            "SELECT task_no, state, name, us FROM states WHERE run_id = ? "
            "AND task_no IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (run_id, json.dumps(wanted)),
        ):
            history.setdefault(no, []).append(tuple(entry))
        found = {row[0]: _timeline_row(row, history.get(row[0], [])) for row in tasks}
        return [found[no] for no in wanted if no in found]


def _group(names: Row, rows: list[Row], median: int | None, longest: Row) -> TaskGroup:
    counts = [0] * len(BUCKETS)
    retrying = 0
    for _, code, named, count, *_ in rows:
        counts[bucket(code, named)] += count
        if named in {AWAITING_RETRY, RETRYING} and code not in FINAL_CODES:
            retrying += count
    starts = [row[5] for row in rows if row[5] is not None]
    ends = [row[6] for row in rows if row[6] is not None]
    took, slowest = longest
    return TaskGroup(
        task=names[0],
        task_key=names[1],
        counts=tuple(counts),
        retrying=retrying,
        p50=None if median is None else median / 1e6,
        longest=None if took is None else took / 1e6,
        longest_no=None if slowest is None else slowest & NO_MASK,
        first_us=min(starts, default=None),
        last_us=max(ends, default=None),
    )


def _timeline_row(row: Row, history: list[Row]) -> TimelineRow:
    no, name, code, named, worker, created_us, started_us, ended_us = row
    if not any(entry[0] == RUNNING for entry in history) and started_us is not None:
        # A history that was cut: what the row itself says.
        history = [(RUNNING, None, started_us)]
        history += [(code, named, ended_us)] if ended_us is not None else []
    return TimelineRow(no, name, code, named, worker, tuple(segments(created_us, history)))


def segments(
    created_us: int, history: Iterable[tuple[int, str | None, int]] | Any
) -> list[Segment]:
    """Turn a state history (code, name, time), oldest first, into stretches of time."""
    found: list[Segment] = []
    attempt = 1
    start, kind = created_us, _kind(PENDING, None)
    for code, named, us in history:
        following = _kind(code, named)
        if code == CANCELLING or (following == kind == "run" and named is None):
            continue
        if kind is not None and (us > start or kind == "run"):
            found.append(Segment(start, us, kind, attempt))
        if following == "retry" or (following == "run" and kind == "run"):
            attempt += 1
        start, kind = us, following
    if kind is not None:
        found.append(Segment(start, None, kind, attempt))
    return found


def _kind(code: int, named: str | None) -> SegmentKind | None:
    """What a task run does in a state; ``None``: nothing any more."""
    if code in FINAL_CODES or (code == PENDING and named == NOT_READY):
        return None
    if code in {RUNNING, CANCELLING}:
        return "run"
    if code == PAUSED:
        return "pause"
    return "retry" if code == SCHEDULED and named == AWAITING_RETRY else "wait"
