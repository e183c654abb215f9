"""Figures within one flow run: task groups, their graph, timelines, expected durations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.ids import number_of, span, sql_id, sql_number, task_run_id
from flowdeck_store.labels import label_of
from flowdeck_store.read.base import ReaderBase, Row
from flowdeck_store.read.records import quantile
from flowdeck_store.read.summaries import (
    GroupEdge,
    TaskGraph,
    TaskGroup,
    TimelineRow,
    TimelineSegment,
)
from flowdeck_store.states import (
    AWAITING_RETRY,
    BUCKETS,
    CACHED,
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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.read.summaries import SegmentKind

RETRYING: Final = "Retrying"
_RAN: Final = (
    "t.id BETWEEN ? AND ? AND t.ended_us IS NOT NULL AND t.started_us IS NOT NULL "
    "AND t.state_name IS NOT 'Cached'"
)
#: One pass. The last column packs the longest duration with the number that had it (a number has
#: 24 bits, 2**38 us are three days: of tasks longer than that any may be named the longest).
_COUNTS: Final = (
    "SELECT t.task_id, t.state, t.state_name, count(*), min(t.id), min(t.started_us), "
    "max(t.ended_us), "
    f"max({sql_id('max(0, min(t.ended_us - t.started_us, 1 << 38))', '(' + sql_number('t.id') + ')')}) "
    "FROM task_runs t WHERE t.id BETWEEN ? AND ? GROUP BY 1, 2, 3"
)
#: All durations of the groups that are listed, an even draw (a hash of the number) of the others.
_DURATIONS: Final = (
    f"SELECT t.task_id, t.ended_us - t.started_us FROM task_runs t WHERE {_RAN} AND "
    "(t.task_id IN (SELECT value FROM json_each(?)) "
    f"OR (({sql_number('t.id')}) * 2654435761 >> 16) % ? = 0)"
)
#: Groups with more ended task runs than this get their median from about so many of them.
_EXACT: Final = 4_000
_EDGES: Final = (
    "SELECT u.task_id, d.task_id, count(*) FROM task_inputs i "
    "JOIN task_runs u ON u.id = i.upstream JOIN task_runs d ON d.id = i.task "
    "WHERE i.task BETWEEN ? AND ? GROUP BY 1, 2"
)
#: How many task runs of one earlier run are looked at for an estimate.
_SAMPLE: Final = 2_000


class GroupReads(ReaderBase):
    """The reads of figures within a run; part of :class:`flowdeck_store.read.reader.Reader`."""

    def task_groups(self, run_id: int) -> list[TaskGroup]:
        """Return the task runs of a run grouped by task, in the order of their first run.

        Measured with 100,000 task runs: 130 ms (the graph: 180 ms), so read it for big runs at
        most every few seconds. Medians of groups over 4,000 are drawn from a sample.
        """
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
        medians = self._medians(limits, rows)
        longest = self._longest(run_id, rows)
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
                longest.get(task_id),
            )
            for task_id in order
        }

    def _medians(self, limits: tuple[int, int], rows: dict[int, list[Row]]) -> dict[int, float]:
        """Return the median seconds by task id of those that really ran."""
        ended = {
            task_id: sum(row[3] for row in of_task if row[7] is not None)
            for task_id, of_task in rows.items()
        }
        small = [task_id for task_id, count in ended.items() if count <= _EXACT]
        one_in = max(1, max(ended.values(), default=0) // _EXACT)
        durations: dict[int, list[int]] = {}
        for task_id, took in self._rows(_DURATIONS, (*limits, json.dumps(small), one_in)):
            durations.setdefault(task_id, []).append(took)
        return {id_: (quantile(took, 0.5) or 0) / 1e6 for id_, took in durations.items()}

    def _longest(self, run_id: int, rows: dict[int, list[Row]]) -> dict[int, tuple[int, float]]:
        """Return number and seconds of the longest task run that really ran, by task id."""
        packed = [
            max(row[7] for row in of_task if row[7] is not None and row[2] != CACHED)
            for of_task in rows.values()
            if any(row[7] is not None and row[2] != CACHED for row in of_task)
        ]
        found = self._rows(
            f"SELECT task_id, {sql_number('id')}, (ended_us - started_us) / 1e6 FROM task_runs "
            "WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps([task_run_id(run_id, number_of(value)) for value in packed]),),
        )
        return {task_id: (no, seconds) for task_id, no, seconds in found}

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
        ids = json.dumps([task_run_id(run_id, no) for no in wanted])
        tasks = self._rows(
            f"SELECT {sql_number('t.id')}, coalesce(t.name, k.name, ''), coalesce(k.name, ''), t.map_index, "
            "t.state, t.state_name, t.worker, t.created_us, t.started_us, t.ended_us FROM task_runs t "
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


def _group(
    names: Row, rows: list[Row], median: float | None, longest: tuple[int, float] | None
) -> TaskGroup:
    counts = [0] * len(BUCKETS)
    retrying = 0
    for _, code, named, count, *_ in rows:
        counts[bucket(code, named)] += count
        if named in {AWAITING_RETRY, RETRYING} and code not in FINAL_CODES:
            retrying += count
    starts = [row[5] for row in rows if row[5] is not None]
    ends = [row[6] for row in rows if row[6] is not None]
    return TaskGroup(
        task=names[0],
        task_key=names[1],
        counts=tuple(counts),
        retrying=retrying,
        p50=median,
        longest=longest[1] if longest else None,
        longest_no=longest[0] if longest else None,
        first_us=min(starts, default=None),
        last_us=max(ends, default=None),
    )


def _timeline_row(row: Row, history: list[Row]) -> TimelineRow:
    no, name, task, map_index, code, named, worker, created_us, started_us, ended_us = row
    if not any(entry[0] == RUNNING for entry in history) and started_us is not None:
        # A history that was cut: what the row itself says.
        history = [(RUNNING, None, started_us)]
        history += [(code, named, ended_us)] if ended_us is not None else []
    label = label_of(name, task, map_index)
    return TimelineRow(no, name, label, code, named, worker, tuple(segments(created_us, history)))


def segments(
    created_us: int, history: Iterable[tuple[int, str | None, int]] | Any
) -> list[TimelineSegment]:
    """Turn a state history (code, name, time), oldest first, into stretches of time."""
    found: list[TimelineSegment] = []
    attempt = 1
    start, kind = created_us, _kind(PENDING, None)
    for code, named, us in history:
        following = _kind(code, named)
        if code == CANCELLING or (following == kind == "run" and named is None):
            continue
        if kind is not None and (us > start or kind == "run"):
            found.append(TimelineSegment(start, us, kind, attempt))
        if following == "retry" or (following == "run" and kind == "run"):
            attempt += 1
        start, kind = us, following
    if kind is not None:
        found.append(TimelineSegment(start, None, kind, attempt))
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
