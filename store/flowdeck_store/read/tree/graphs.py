"""Reading the graph of a run, and of the subflow runs that one of its tasks stands for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from flowdeck_store.ids import span
from flowdeck_store.read.groups import GroupReads
from flowdeck_store.read.records import quantile
from flowdeck_store.read.summaries import GroupEdge, TaskGraph, TaskGroup

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Of so many subflow runs of one task a graph is made, the latest ones.
MOST_RUNS: Final = 100
THESE: Final = (
    "json_each(?) r CROSS JOIN task_runs t "
    "ON t.id BETWEEN json_extract(r.value, '$[0]') AND json_extract(r.value, '$[1]')"
)
#: How long at least one task run of a task ran: each adds what it reaches beyond all before it.
_COVERED: Final = (
    f"WITH ran AS (SELECT t.task_id task, t.started_us s, coalesce(t.ended_us, ?) e FROM {THESE} "
    "WHERE t.started_us IS NOT NULL AND t.state_name IS NOT 'Cached'), "
    "reached AS (SELECT task, s, e, max(e) OVER "
    "(PARTITION BY task ORDER BY s ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) before FROM ran) "
    "SELECT k.key, sum(max(0, e - max(s, coalesce(before, s)))) FROM reached "
    "JOIN tasks k ON k.id = reached.task GROUP BY 1"
)
_CHILDREN: Final = (
    f"SELECT k.key, t.child_run FROM {THESE} JOIN tasks k ON k.id = t.task_id "
    "WHERE t.child_run IS NOT NULL ORDER BY 1, 2"
)


@dataclass(frozen=True, slots=True)
class RunsGraph:
    """The graph of one run, or of several runs as if they were one.

    Attributes:
        graph: the tasks and what flows between them.
        covered_us: how long at least one task run of a task ran, by its key.
        children: numbers of the subflow runs that a task stands for, by its key, oldest first.
    """

    graph: TaskGraph
    covered_us: Mapping[str, int]
    children: Mapping[str, tuple[int, ...]]


class TreeReads(GroupReads):
    """The reads of runs with what is below them; part of :class:`flowdeck_store.read.reader.Reader`."""

    def runs_graph(self, run_ids: Sequence[int], now_us: int) -> RunsGraph:
        """Return the graph of runs, as if they were one.

        Args:
            run_ids: of the runs; of more than :data:`MOST_RUNS` the last ones count.
            now_us: until when that counts which has not ended.
        """
        chosen = list(run_ids)[-MOST_RUNS:]
        spans = json.dumps([span(run_id) for run_id in chosen])
        graphs = [self.graph(run_id) for run_id in chosen]
        children = {
            key: tuple(row[1] for row in rows)
            for key, rows in groupby(self._rows(_CHILDREN, (spans,)), key=lambda row: row[0])
        }
        covered = {key: int(us) for key, us in self._rows(_COVERED, (now_us, spans))}
        return RunsGraph(merged(graphs), covered, children)


def merged(graphs: Sequence[TaskGraph]) -> TaskGraph:
    """Return graphs of several runs as one: what is of the same task is one group.

    The median of a group is that of the medians of the runs, each as often as the run has task runs.
    """
    if len(graphs) == 1:
        return graphs[0]
    groups: dict[str, list[TaskGroup]] = {}
    edges: dict[tuple[str, str], int] = {}
    for graph in graphs:
        for group in graph.groups:
            groups.setdefault(group.task_key, []).append(group)
        for edge in graph.edges:
            key = edge.source, edge.target
            edges[key] = edges.get(key, 0) + edge.count
    return TaskGraph(
        tuple(_together(found) for found in groups.values()),
        tuple(GroupEdge(source, target, count) for (source, target), count in edges.items()),
    )


def _together(groups: Sequence[TaskGroup]) -> TaskGroup:
    longest = max(groups, key=lambda group: group.longest or 0.0)
    medians = [
        group.p50 for group in groups if group.p50 is not None for _ in range(min(group.n, 1000))
    ]
    return TaskGroup(
        groups[0].task,
        groups[0].task_key,
        tuple(map(sum, zip(*(group.counts for group in groups), strict=True))),
        sum(group.retrying for group in groups),
        quantile(medians, 0.5),
        longest.longest,
        None,  # a number says nothing without its run
        min((g.first_us for g in groups if g.first_us is not None), default=None),
        max((g.last_us for g in groups if g.last_us is not None), default=None),
    )
