"""The grouped graph: columns, edges, the tree, walking over nodes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from app_data import HOSTILE, NOW
from app_harness import Bench, check_snapshot, settle
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.glyphs import ASCII
from flowdeck_app.views.graph import draw_graph, neighbour
from flowdeck_app.views.look import Look
from flowdeck_app.widgets.graph import GraphView
from flowdeck_store.states import BUCKETS
from flowdeck_store.summaries import GroupEdge, TaskGraph, TaskGroup

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_app.app import FlowdeckApp

LOOK = Look(NOW)
pytestmark = pytest.mark.usefixtures("bare")


def group(name: str, **counts: int) -> TaskGroup:
    numbers = tuple(counts.get(bucket, 0) for bucket in BUCKETS)
    return TaskGroup(name, name, numbers, 0, None, None, None, None, None)


def graph(groups: list[TaskGroup], *edges: tuple[str, str]) -> TaskGraph:
    return TaskGraph(tuple(groups), tuple(GroupEdge(a, b, 1) for a, b in edges))


ETL = graph(
    [
        group("prepare", completed=1),
        group("fetch", completed=95, cached=4, running=4, failed=1, pending=1, not_ready=1),
        group("clean", completed=45, running=4, pending=52, not_ready=2),
        group("publish", pending=1),
        group("notify", pending=1),
        group("audit", pending=1),
    ],
    ("prepare", "fetch"), ("fetch", "clean"), ("prepare", "clean"), ("clean", "publish"),
    ("clean", "notify"), ("prepare", "audit"), ("audit", "notify"),
)  # fmt: skip


def plain(what: TaskGraph, cells: int, look: Look = LOOK) -> str:
    return "\n".join(line.plain.rstrip() for line in draw_graph(what, look, cells).lines) + "\n"


@pytest.mark.parametrize("cells", [80, 140])
def test_the_graph_of_a_run(cells: int) -> None:
    check_snapshot("app_graph", f"etl-{cells}", plain(ETL, cells))


def test_the_graph_in_ascii() -> None:
    text = plain(ETL, 140, Look(NOW, ASCII))
    assert text.isascii()
    check_snapshot("app_graph", "etl-ascii", text)


def test_an_edge_that_a_longer_way_implies_is_not_drawn() -> None:
    with_it = plain(
        graph([group("a"), group("b"), group("c")], ("a", "b"), ("b", "c"), ("a", "c")), 120
    )
    without = plain(graph([group("a"), group("b"), group("c")], ("a", "b"), ("b", "c")), 120)
    assert with_it == without


def test_a_graph_too_wide_for_the_screen_is_a_tree() -> None:
    names = [f"a_rather_long_task_name_{n}" for n in range(6)]
    text = plain(graph([group(n) for n in names], *itertools.pairwise(names)), 120)
    assert text.count("└╴") == 5


def test_an_empty_graph_has_no_lines() -> None:
    assert draw_graph(graph([]), LOOK, 120).lines == ()


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20),
    st.sampled_from([60, 120, 400]), st.sampled_from(HOSTILE),
)  # fmt: skip
def test_every_node_is_drawn_once_whatever_the_edges(
    edges: list[tuple[int, int]], cells: int, name: str
) -> None:
    groups = [
        TaskGroup(
            f"{name}{n}", str(n), (n, 0, 0, n, 0, 0, 0, 0, 0), 0, None, None, None, None, None
        )
        for n in range(8)
    ]
    canvas = draw_graph(graph(groups, *((str(a), str(b)) for a, b in edges)), LOOK, cells)
    assert sorted(node.key for node in canvas.nodes) == [str(n) for n in range(8)]
    assert all(cell_len(line.plain) <= canvas.width for line in canvas.lines)
    for node in canvas.nodes:
        assert 0 <= node.y < len(canvas.lines)


def test_steps_lead_to_the_nearest_node_in_their_direction() -> None:
    canvas = draw_graph(ETL, LOOK, 140)
    assert neighbour(canvas, None, 0, 0) == "prepare"
    assert neighbour(canvas, "prepare", 1, 0) == "fetch"
    assert neighbour(canvas, "fetch", 0, 1) == "audit"
    assert neighbour(canvas, "publish", 1, 0) == "publish"


@pytest.mark.anyio
async def test_the_graph_on_the_screen_can_be_walked_and_clicked(
    app_for: Callable[..., FlowdeckApp], snapshot: Callable[..., None]
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 20)) as pilot:
        view = GraphView(id="g")
        await app.push_screen(Bench(view))
        view.show(ETL)
        view.focus()
        await pilot.press("l", "l")
        assert view.chosen == "clean"
        await pilot.press("h", "j")
        assert view.chosen == "audit"
        node = next(n for n in view._canvas.nodes if n.key == "notify")
        inside = view.content_region.offset - view.region.offset
        assert inside.x == 2  # as far from the edge as rows are elsewhere
        await pilot.click("#g", offset=(inside.x + node.x + 2, inside.y + node.y))
        await settle(pilot, lambda: view.chosen == "notify")
        snapshot(app, "graph")
