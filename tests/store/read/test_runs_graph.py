"""The graph of runs with the subflow runs below them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from flowdeck_store.read.reader import Reader
from flowdeck_store.read.summaries import GroupEdge, TaskGraph, TaskGroup
from flowdeck_store.read.tree.graphs import merged
from flowdeck_store.states import RUNNING
from store_builder import SECOND, T0, StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path


def group(key: str, done: int, p50: float | None, first: int, last: int) -> TaskGroup:
    return TaskGroup(key, key, (0, 0, 0, done, 0, 0, 0, 0, 0), 0, p50, p50, 1, first, last)


def test_graphs_of_several_runs_are_one_with_sums_and_the_median_of_all() -> None:
    one = TaskGraph((group("a", 3, 1.0, 10, 20),), (GroupEdge("a", "b", 2),))
    two = TaskGraph(
        (group("a", 1, 9.0, 5, 15), group("b", 1, 2.0, 6, 7)), (GroupEdge("a", "b", 1),)
    )
    both = merged([one, two])
    assert [(g.task, g.n, g.p50, g.longest) for g in both.groups] == [
        ("a", 4, 1.0, 9.0),
        ("b", 1, 2.0, 2.0),
    ]
    assert (both.groups[0].first_us, both.groups[0].last_us) == (5, 20)
    assert both.edges == (GroupEdge("a", "b", 3),)


def test_the_graph_of_no_runs_is_empty(tmp_path: Path) -> None:
    reader = Reader.open(tmp_path)
    found = reader.runs_graph([7], 0)
    assert (found.graph, dict(found.covered_us), dict(found.children)) == (
        TaskGraph((), ()),
        {},
        {},
    )
    reader.close()


def test_time_covered_counts_once_what_ran_side_by_side_and_children_come_with_their_task(
    tmp_path: Path,
) -> None:
    builder = StoreBuilder(tmp_path)
    try:
        child = builder.run("child")
        run = builder.run(started=T0, seconds=10)
        builder.task(run, 1, started=T0, seconds=2.0)
        builder.task(run, 2, started=T0 + SECOND, seconds=2.0)
        builder.task(run, 3, started=T0 + 5 * SECOND, seconds=1.0)
        builder.task(run, 4, state=RUNNING, started=T0 + 8 * SECOND, seconds=None)
        builder.task(run, 5, task="load", child_run=child)
        builder.db.commit()
        with contextlib.closing(Reader.open(tmp_path)) as reader:
            found = reader.runs_graph([run], T0 + 9 * SECOND)
    finally:
        builder.close()
    assert found.covered_us["/flows/etl.py:fetch"] == 5 * SECOND
    assert found.children == {"/flows/etl.py:load": (child,)}
