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

from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.graph.draw import INSIDE, Shown, draw_boxes, draw_graph, neighbour
from flowdeck_app.widgets.graph import GraphView
from flowdeck_store.read.summaries import GroupEdge, TaskGraph, TaskGroup
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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


INNER = graph(
    [group("open", completed=3), group("read", running=1, completed=1), group("close", pending=2)],
    ("open", "read"), ("open", "close"),
)  # fmt: skip
NESTED = Shown(ETL, {"fetch": 0.43, "clean": 0.001}, {"clean": 3}, {"clean": Shown(INNER)})


def drawn(cells: int, rows: int, look: Look = LOOK, what: Shown = NESTED) -> str:
    lines = draw_boxes(what, look, cells, rows).lines
    return "\n".join(line.plain.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize("size", [(196, 50), (156, 35), (56, 8)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_boxes_are_as_big_as_there_is_room_for(size: tuple[int, int]) -> None:
    check_snapshot("app_graph", f"boxes-{size[0]}x{size[1]}", drawn(*size))


def test_boxes_in_ascii() -> None:
    for size in ((196, 50), (156, 18), (56, 8)):
        assert drawn(*size, Look(NOW, ASCII)).isascii()


def test_what_an_opened_subflow_did_lies_inside_its_box() -> None:
    canvas = draw_boxes(NESTED, LOOK, 196, 50)
    boxes = {node.key: node for node in canvas.nodes}
    outer = boxes["clean"]
    assert outer.opens
    for name in ("open", "read", "close"):
        inner = boxes[f"clean{INSIDE}{name}"]
        assert outer.x < inner.x
        assert inner.x + inner.cells < outer.x + outer.cells
        assert outer.y < inner.y
        assert inner.y + inner.rows < outer.y + outer.rows
        assert name in canvas.lines[inner.y].plain[inner.x : inner.x + inner.cells]


def test_a_box_says_count_median_and_share_of_the_time() -> None:
    fetch = TaskGroup("fetch", "f", ETL.groups[1].counts, 0, 1.24, 3.0, 1, NOW, NOW)
    text = drawn(100, 20, what=Shown(graph([fetch]), {"f": 0.001}))
    assert "✗ fetch" in text
    assert "×106" in text
    assert "✓95 ✦4 ▸4 ◌1 ✗1 ↷1" in text
    assert "p50 1.2s  <1% of time" in text


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25),
    st.sampled_from(["big", "small", "tree"]), st.sampled_from(HOSTILE),
)  # fmt: skip
def test_no_box_lies_over_another_and_every_line_is_as_wide_as_all(
    edges: list[tuple[int, int]], zoom: str, name: str
) -> None:
    groups = [
        TaskGroup(f"{name}{n}", str(n), (n, 0, 0, 1, 0, 0, 0, 0, 0), 0, 1.0, None, None, NOW, NOW)
        for n in range(10)
    ]
    what = Shown(graph(groups, *((str(a), str(b)) for a, b in edges)), {"3": 0.5})
    canvas = draw_boxes(what, LOOK, 90, 20, zoom)  # type: ignore[arg-type]
    taken = [
        (node.x + x, node.y + y)
        for node in canvas.nodes
        for x in range(node.cells)
        for y in range(node.rows)
    ]
    assert len(taken) == len(set(taken))
    assert len(canvas.nodes) == 10
    if zoom != "tree":
        assert {cell_len(line.plain) for line in canvas.lines} == {canvas.width}


def test_a_chain_of_two_thousand_tasks_can_be_drawn() -> None:
    names = [f"t{n}" for n in range(2000)]
    what = Shown(graph([group(n, completed=1) for n in names], *itertools.pairwise(names)))
    assert len(draw_boxes(what, LOOK, 90, 20, "tree").nodes) == 2000


@pytest.mark.anyio
async def test_zooming_shows_more_or_less_of_each_node_and_fits_again(
    app_for: Callable[..., FlowdeckApp],
) -> None:
    app = app_for()
    async with app.run_test(size=(160, 30)) as pilot:
        view = GraphView(id="g")
        await app.push_screen(Bench(view))
        view.show(Shown(ETL))
        view.focus()
        await settle(pilot, lambda: view._canvas.detail == "big")
        await pilot.press("minus")
        assert view._canvas.detail == "small"
        await pilot.press("minus", "minus")
        assert view._canvas.detail == "tree"
        await pilot.press("0")
        assert (view._canvas.detail, view.zoom) == ("big", None)


@pytest.mark.anyio
async def test_the_graph_on_the_screen_can_be_walked_and_clicked(
    app_for: Callable[..., FlowdeckApp], snapshot: Callable[..., Awaitable[str]]
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 20)) as pilot:
        view = GraphView(id="g")
        await app.push_screen(Bench(view))
        view.show(Shown(ETL))
        view.focus()
        await pilot.press("l", "l")
        assert view.chosen == "clean"
        await pilot.press("h", "j")
        assert view.chosen == "audit"
        node = next(n for n in view._canvas.nodes if n.key == "notify")
        inside = view.content_region.offset - view.region.offset
        left, top = view._margin
        assert abs(view.size.width - left * 2 - view._canvas.width) <= 1  # it lies in the middle
        await pilot.click("#g", offset=(inside.x + left + node.x + 2, inside.y + top + node.y + 1))
        await settle(pilot, lambda: view.chosen == "notify")
        await snapshot(pilot, "graph")
