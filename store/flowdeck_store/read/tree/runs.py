"""Reading the task runs and log lines of a run together with those of the subflow runs below it.

A run with what is below it is shown as a tree: below the task run that stands for a subflow stand the
task runs of that subflow. :func:`woven` puts the listings of the runs into each other; it is pure, and
every listing keeps its order.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck_store.ids import run_of, span
from flowdeck_store.labels import label_of
from flowdeck_store.query.ordering import RowIndex, task_order
from flowdeck_store.read.base import as_query, at_most
from flowdeck_store.read.logs import DENSE, LOG, LogReads, log_record
from flowdeck_store.read.tree.graphs import THESE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from flowdeck_store.query.language import Query
    from flowdeck_store.read.records import LogRecord

#: Runs of a tree that are looked into, and how deep they may lie: an imported record may lead round
#: in a circle.
MOST_TREE_RUNS: Final = 2_000
_DEEPEST: Final = 50
_LAST: Final = 2**63 - 1
_BELOW: Final = (
    "SELECT f.id, f.parent_task, coalesce(t.name, k.name, ''), coalesce(k.name, ''), t.map_index "
    "FROM json_each(?) r CROSS JOIN flow_runs f ON f.parent_task BETWEEN "
    "json_extract(r.value, '$[0]') AND json_extract(r.value, '$[1]') "
    "LEFT JOIN task_runs t ON t.id = f.parent_task LEFT JOIN tasks k ON k.id = t.task_id "
    "ORDER BY f.id"
)
#: Of each level that a row lies below: whether further rows follow there.
Stem: TypeAlias = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class TreeRun:
    """A run of a tree.

    Attributes:
        id: its number.
        parent_task: id of the task run that stands for it; ``None`` for the run that was asked about.
        path: the labels of the task runs that lead to it, outermost first.
    """

    id: int
    parent_task: int | None
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskTree:
    """The task runs of a run and of what is below it, in the order shown.

    Attributes:
        index: ids of the task runs.
        stems: where a row lies, by its id; those of the run itself are left out.
        runs: the runs whose task runs these are, by number.
        children: numbers of the runs that task runs stand for, by the id of the task run.
    """

    index: RowIndex
    stems: Mapping[int, Stem]
    runs: Mapping[int, TreeRun]
    children: Mapping[int, int]


def woven(
    run_id: int,
    listings: Mapping[int, Sequence[int]],
    children: Mapping[int, int],
    folded: Collection[int] = (),
) -> tuple[array[int], dict[int, Stem]]:
    """Put listings of task runs into each other.

    Args:
        run_id: of the run at the top.
        listings: ids of the task runs of each run, in their order.
        children: numbers of the runs that task runs stand for.
        folded: numbers of runs whose task runs are not wanted.

    Returns:
        The ids in the order shown, and the stems of those that lie below others.
    """
    ids: array[int] = array("q")
    stems: dict[int, Stem] = {}
    # A stack and no recursion: what is imported may be deep.
    stack: list[tuple[enumerate[int], int, Stem]] = [
        (enumerate(listings.get(run_id, ()), 1), len(listings.get(run_id, ())), ())
    ]
    entered = {run_id}
    while stack:
        rows, count, stem = stack[-1]
        for place, id_ in rows:
            ids.append(id_)
            own: Stem = ()
            if len(stack) > 1:
                own = stems[id_] = (*stem, place < count)
            child = children.get(id_)
            if child is not None and child not in folded and child not in entered:
                entered.add(child)
                below = listings.get(child, ())
                stack.append((enumerate(below, 1), len(below), own))
                break
        else:
            stack.pop()
    return ids, stems


class TreeRunReads(LogReads):
    """The reads of runs with what is below them; part of :class:`flowdeck_store.read.reader.Reader`."""

    def has_subflows(self, run_id: int) -> bool:
        """Say whether a run called subflows."""
        return bool(self._rows(
            "SELECT 1 FROM flow_runs WHERE parent_task BETWEEN ? AND ? LIMIT 1", span(run_id)
        ))  # fmt: skip

    def run_tree(self, run_id: int) -> dict[int, TreeRun]:
        """Return a run and all runs below it by number, level by level (at most
        :data:`MOST_TREE_RUNS`)."""
        found = {run_id: TreeRun(run_id, None, ())}
        level = [run_id]
        for _ in range(_DEEPEST):
            spans = json.dumps([span(parent) for parent in level])
            level = []
            for id_, parent_task, name, task, map_index in self._rows(_BELOW, (spans,)):
                if id_ in found or len(found) >= MOST_TREE_RUNS:
                    continue
                label = label_of(name, task, map_index)
                path = (*found[run_of(parent_task)].path, label)
                found[id_] = TreeRun(id_, parent_task, path)
                level.append(id_)
            if not level:
                break
        return found

    def task_tree(
        self,
        run_id: int,
        query: Query | str | None = None,
        order: str = "number",
        folded: Collection[int] = (),
    ) -> TaskTree:
        """Return the task runs of a run and of all runs below it.

        Each run's task runs are in the order that is asked for. With a filter a task run that stands
        for a subflow stays where one of those below it is let through.

        Measured with 300 subflow runs of 100 task runs each: 80 ms, with a filter 110 ms.

        Args:
            run_id: of the run at the top.
            query: a filter of task runs.
            order: see :meth:`~flowdeck_store.read.tasks.TaskReads.tasks`.
            folded: numbers of runs whose task runs are not wanted.

        Raises:
            QueryError: the filter is wrong.
            ValueError: the order is unknown.
        """
        runs = self.run_tree(run_id)
        parsed = as_query(query, "tasks")
        children = {run.parent_task: run.id for run in runs.values() if run.parent_task is not None}
        shown = _not_below(runs, folded)
        if parsed.empty:
            listings: Mapping[int, Sequence[int]] = self._listings(shown, None, order)
        else:
            listings = self._listings(runs, parsed, order)
            parents = {run_of(id_) for id_ in children}
            every = self._listings([id_ for id_ in runs if id_ in parents], None, order)
            listings = _with_ways(list(runs), listings, every, children)
        ids, stems = woven(run_id, listings, children, folded)
        rising = len(runs) == 1 and task_order(order).by_key and not order.startswith("-")
        return TaskTree(RowIndex(ids, rising), stems, runs, children)

    def _listings(
        self, run_ids: Iterable[int], query: Query | None, order: str
    ) -> dict[int, list[int]]:
        """Return the ids of the task runs of each run, in an order."""
        condition, parameters = as_query(query, "tasks").sql("tasks")
        rows = self._rows(
            f"SELECT t.id FROM {THESE} WHERE {condition} ORDER BY r.key, {task_order(order).by()}",
            (json.dumps([span(run_id) for run_id in run_ids]), *parameters),
        )
        found: dict[int, list[int]] = {}
        for (id_,) in rows:
            found.setdefault(run_of(id_), []).append(id_)
        return found

    # -- log lines -------------------------------------------------------------------------

    def tree_logs(
        self,
        run_ids: Sequence[int],
        *,
        query: Query | str | None = None,
        min_level: int = 0,
        text: str | None = None,
        after_seq: int | None = None,
        limit: int = 200,
        tail: bool = False,
    ) -> list[LogRecord]:
        """Return a page of the log lines of several runs as one log, oldest first.

        The arguments are those of :meth:`~flowdeck_store.read.logs.LogReads.logs`.

        Raises:
            QueryError: the filter is wrong.
        """
        where, parameters = self._of_runs(run_ids, 0 if after_seq is None else after_seq + 1, query)
        where += " AND l.level >= ?"
        parameters.append(min_level)
        if text:
            where += " AND instr(lower(l.msg), lower(?))"
            parameters.append(text)
        rows = self._rows(
            f"{LOG} WHERE {where} ORDER BY l.seq {'DESC' if tail else 'ASC'} LIMIT ?",
            (*parameters, at_most(limit)),
        )
        return [log_record(row) for row in (reversed(rows) if tail else rows)]

    def tree_log_index(self, run_ids: Sequence[int], query: Query | str | None = None) -> RowIndex:
        """Return the sequence numbers of all matching lines of several runs, oldest first.

        Raises:
            QueryError: the filter is wrong.
        """
        lines, low, high = self._runs_log_range(run_ids)
        if as_query(query, "logs").empty and lines == high - low + 1:
            return RowIndex(range(low, high + 1), True)
        where, parameters = self._of_runs(run_ids, 0, query)
        rows = self._rows(f"SELECT l.seq FROM logs l WHERE {where} ORDER BY l.seq", parameters)
        return RowIndex(array("q", [row[0] for row in rows]), True)

    def _runs_log_range(self, run_ids: Sequence[int]) -> tuple[int, int, int]:
        """Return how many lines runs have and the range of sequence numbers they lie in."""
        row = self._one(
            "SELECT sum(n_logs), min(log_lo), max(log_hi) FROM flow_runs "
            "WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(run_ids)),),
        )
        if row is None or row[1] is None or row[2] is None:
            return 0, 1, 0
        return row[0], row[1], row[2]

    def _of_runs(
        self, run_ids: Sequence[int], low: int, query: Query | str | None, high: int = _LAST
    ) -> tuple[str, list[Any]]:
        """Return the condition for lines of runs between two sequence numbers; which way SQLite goes
        is chosen as in :mod:`flowdeck_store.read.logs`."""
        condition, parameters = as_query(query, "logs").sql("logs")
        lines, first, last = self._runs_log_range(run_ids)
        of_runs = "l.run_id IN (SELECT value FROM json_each(?))"
        ids = json.dumps(list(run_ids))
        if lines > DENSE * (last - first + 1):
            where = f"l.seq BETWEEN ? AND ? AND +{of_runs}"
            bounds = [max(low, first), min(high, last)]
            return f"{where} AND {condition}", [*bounds, ids, *parameters]
        where = f"{of_runs} AND +l.seq BETWEEN ? AND ?"
        return f"{where} AND {condition}", [ids, low, high, *parameters]


def _not_below(runs: Mapping[int, TreeRun], folded: Collection[int]) -> list[int]:
    """Return the runs that are neither folded nor below one that is."""
    shown: dict[int, bool] = {}
    for run in runs.values():  # level by level: a parent stands before its children
        above = run.parent_task is None or shown.get(run_of(run.parent_task), False)
        shown[run.id] = above and run.id not in folded
    return [run_id for run_id, is_shown in shown.items() if is_shown]


def _with_ways(
    runs: Sequence[int],
    listings: Mapping[int, Sequence[int]],
    every: Mapping[int, Sequence[int]],
    children: Mapping[int, int],
) -> dict[int, Sequence[int]]:
    """Return what a filter lets through with the task runs that lead to it.

    Args:
        runs: numbers of the runs, level by level.
        listings: what is let through of each.
        every: all task runs of those that have runs below them, in the same order.
        children: numbers of the runs that task runs stand for.
    """
    found: dict[int, Sequence[int]] = dict(listings)
    for run_id in reversed(runs):  # what is below goes first
        if run_id in every:
            let_through = set(found.get(run_id, ()))
            kept = [
                id_
                for id_ in every[run_id]
                if id_ in let_through or found.get(children.get(id_, 0))
            ]
            if kept:
                found[run_id] = kept
    return found
