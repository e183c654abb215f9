"""The graph of a run as lines of text with the place of every node.

Left to right where there is room: big boxes, else small ones; else as a tree. Never one node a task
run: a hundred mapped runs are one node with their counts. What a subflow did is drawn inside its
node, once that is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from textual.content import Content

from flowdeck_app.views.graph.layers import Extent, layout, reduced
from flowdeck_app.views.graph.nodes import TaskBox, big_box, frame, len_of, line_of, small_box
from flowdeck_app.views.graph.plane import Plane
from flowdeck_app.views.graph.tree import tree_lines, tree_rows, tree_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.summaries import TaskGraph

Detail: TypeAlias = Literal["line", "big", "small", "tree"]
#: How much is shown of each node, from near to far: what zooming steps through.
ZOOMS: Final[tuple[Detail, ...]] = ("big", "small", "tree")
#: Below this width the graph that a command prints is a tree.
TREE_BELOW: Final = 96
#: Between the keys of a task and of the subflow's that it is a part of.
INSIDE: Final = "\0"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a graph is drawn of.

    Attributes:
        graph: tasks, and what flows between them.
        shares: of the run's wall time during which each task ran, by its key.
        subflows: how many subflow runs a task stands for, by its key.
        inside: what these did, by the same keys; only of those that are opened.
        tasks: keys of those on the critical path.
        steps: edges on it, by the keys of both ends.
    """

    graph: TaskGraph
    shares: Mapping[str, float] = field(default_factory=dict)
    subflows: Mapping[str, int] = field(default_factory=dict)
    inside: Mapping[str, Shown] = field(default_factory=dict)
    tasks: AbstractSet[str] = frozenset()
    steps: AbstractSet[tuple[str, str]] = frozenset()

    def nodes(self) -> dict[str, TaskBox]:
        """Return its nodes by their keys."""
        return {
            group.task_key: TaskBox(
                group,
                self.shares.get(group.task_key),
                self.subflows.get(group.task_key, 0),
                group.task_key in self.inside,
                group.task_key in self.tasks,
            )
            for group in self.graph.groups
        }

    def edges(self) -> list[tuple[str, str]]:
        """Return the edges by the keys of both ends."""
        return [(edge.source, edge.target) for edge in self.graph.edges]


@dataclass(frozen=True, slots=True)
class GraphNode:
    """Where a node is drawn: its first row, its rows, and whether it stands for subflows.

    The key of what is inside an opened node begins with the key of that node and ``INSIDE``.
    """

    key: str
    x: int
    y: int
    cells: int
    rows: int = 1
    opens: bool = False


@dataclass(frozen=True, slots=True)
class Canvas:
    """Drawn lines and the nodes on them."""

    lines: tuple[Content, ...]
    nodes: tuple[GraphNode, ...]
    width: int
    detail: Detail = "line"


def draw_graph(
    graph: TaskGraph,
    look: Look,
    cells: int,
    on_path: AbstractSet[str] = frozenset(),
    steps: AbstractSet[tuple[str, str]] = frozenset(),
) -> Canvas:
    """Return the graph as a command prints it, one line a node: left to right if it fits, else a tree.

    Args:
        graph: tasks and what flows between them.
        look: for the signs.
        cells: width there is.
        on_path: keys of the tasks that are on the critical path.
        steps: edges of it, by the keys of both ends.
    """
    shown = Shown(graph, tasks=on_path, steps=steps)
    if cells >= TREE_BELOW:
        canvas = _left_to_right(shown, look, "line")
        if canvas.width <= cells:
            return canvas
    rows = tree_rows(shown.nodes(), shown.edges(), look, steps)
    return _of_tree(tree_lines(rows, look), [(row.key, row.x) for row in rows], "line")


def draw_boxes(
    shown: Shown, look: Look, cells: int, rows: int, zoom: Detail | None = None
) -> Canvas:
    """Return the graph as the app shows it.

    Args:
        shown: what there is, and what of it is opened.
        look: for the signs.
        cells: width there is.
        rows: height there is.
        zoom: how much of each node; ``None``: the most with which all of it fits.
    """
    if zoom is not None:
        return _zoomed(shown, look, cells, zoom)
    fitting = [_left_to_right(shown, look, detail) for detail in ("big", "small")]
    for canvas in fitting:
        if canvas.width <= cells and len(canvas.lines) <= rows:
            return canvas
    return _zoomed(shown, look, cells, "tree")


def _zoomed(shown: Shown, look: Look, cells: int, zoom: Detail) -> Canvas:
    if zoom != "tree":
        return _left_to_right(shown, look, zoom)
    rows = tree_rows(shown.nodes(), shown.edges(), look, shown.steps, _nested(shown))
    return _of_tree(tree_table(rows, look, cells), [(row.key, row.x) for row in rows], "tree",
                    frozenset(row.key for row in rows if row.node.runs))  # fmt: skip


def _nested(shown: Shown) -> dict[str, tuple[Mapping[str, TaskBox], list[tuple[str, str]]]]:
    """Return nodes and edges of everything that is opened, by the whole key of the opened node."""
    found: dict[str, tuple[Mapping[str, TaskBox], list[tuple[str, str]]]] = {}
    for key, inner in shown.inside.items():
        found[key] = inner.nodes(), inner.edges()
        for deeper, what in _nested(inner).items():
            found[f"{key}{INSIDE}{deeper}"] = what
    return found


def _of_tree(
    lines: list[Content],
    places: list[tuple[str, int]],
    detail: Detail,
    opens: AbstractSet[str] = frozenset(),
) -> Canvas:
    nodes = [
        GraphNode(key, x, y, lines[y].cell_length - x, opens=key in opens)
        for y, (key, x) in enumerate(places)
    ]
    width = max((line.cell_length for line in lines), default=0)
    return Canvas(tuple(lines), tuple(nodes), width, detail)


def _left_to_right(shown: Shown, look: Look, detail: Detail) -> Canvas:
    """Place nodes in columns and draw the edges between them."""
    nodes = shown.nodes()
    inner = {key: _left_to_right(what, look, detail) for key, what in shown.inside.items()}

    def drawn(key: str, cells: int = 0) -> list[Content]:
        node = nodes[key]
        if key in inner:
            return frame(node, look, inner[key].lines, inner[key].width, cells)
        if detail == "line":
            return [line_of(node, look)]
        return (big_box if detail == "big" else small_box)(node, look, cells)

    targets, order = reduced(nodes, shown.edges())
    extents = {}
    for key in nodes:
        lines = drawn(key)
        extents[key] = Extent(len_of(lines), len(lines), 0 if detail == "line" else 1)
    laid = layout(extents, targets, order)
    blocks = {key: drawn(key, laid.cells[key]) for key in nodes}
    ends = {}
    if detail == "line":  # narrower than their columns: edges begin behind the text
        for key, (x, y) in laid.places.items():
            ends[x + laid.cells[key], y] = x + len_of(blocks[key]) + 1
    plane = Plane(laid, shown.steps, ends, look)
    placed = []
    for key, (x, y) in laid.places.items():
        cells = len_of(blocks[key])
        placed.append(GraphNode(key, x, y, cells, len(blocks[key]), bool(nodes[key].runs)))
        if key in inner:
            left = x + 2 + (cells - 4 - inner[key].width) // 2
            top = y + len(blocks[key]) - 1 - len(inner[key].lines)
            placed += [
                GraphNode(f"{key}{INSIDE}{node.key}", left + node.x, top + node.y, node.cells,
                          node.rows, node.opens)
                for node in inner[key].nodes
            ]  # fmt: skip
    rows = [_row(y, laid.places, blocks, plane, laid.width) for y in range(laid.height)]
    return Canvas(tuple(rows), tuple(placed), laid.width, detail)


def _row(
    y: int,
    places: Mapping[str, tuple[int, int]],
    blocks: Mapping[str, list[Content]],
    plane: Plane,
    width: int,
) -> Content:
    here = sorted((x, key) for key, (x, top) in places.items() if top <= y < top + len(blocks[key]))
    parts: list[Content | tuple[str, str]] = []
    at = 0
    for x, key in here:
        line = blocks[key][y - places[key][1]]
        parts += [*plane.between(at, x, y), line]
        at = x + line.cell_length
    parts += plane.between(at, width, y)
    return Content.assemble(*parts, strip_control_codes=False)


def neighbour(canvas: Canvas, key: str | None, dx: int, dy: int) -> str | None:
    """Return the node that a step to the left, right, up or down leads to.

    Args:
        canvas: what is drawn.
        key: the present node; ``None``: none yet.
        dx: -1 left, 1 right.
        dy: -1 up, 1 down.
    """
    if not canvas.nodes:
        return None
    here = next((node for node in canvas.nodes if node.key == key), None)
    if here is None:
        return min(canvas.nodes, key=lambda node: (node.x, node.y)).key
    candidates = [
        node
        for node in canvas.nodes
        if node is not here
        and (not dx or (node.x - here.x) * dx > 0)
        and (not dy or (node.y - here.y) * dy > 0)
    ]
    if not candidates:
        return here.key
    weight = (1, 4) if dx else (4, 1)
    return min(
        candidates, key=lambda n: weight[0] * abs(n.x - here.x) + weight[1] * abs(n.y - here.y)
    ).key
