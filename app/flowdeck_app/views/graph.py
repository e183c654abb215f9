"""The graph of a run, one node a task: left to right where there is room, else as a tree.

A pure layout: groups and edges become lines of text with the place of every node. Never one node
a task run: a hundred mapped runs are one node with their counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content

from flowdeck_app.glyphs import BUCKET_KINDS, Kind
from flowdeck_app.views.states import style_of
from flowdeck_app.views.text import clean, cut, number, width
from flowdeck_app.widgets.chips import ORDER
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.views.look import Look
    from flowdeck_store.summaries import TaskGraph, TaskGroup

#: Cells between two columns of nodes, for the edges.
GAP: Final = 6
#: Below this width a graph is a tree: that of a terminal of 100 cells, without the margins.
TREE_BELOW: Final = 96
_NAME: Final = 28
_N, _E, _S, _W = 1, 2, 4, 8
_CORNERS: Final = {
    _E | _W: "─", _N | _S: "│", _S | _E: "┌", _S | _W: "┐", _N | _E: "└", _N | _W: "┘",
    _N | _S | _E: "├", _N | _S | _W: "┤", _S | _E | _W: "┬", _N | _E | _W: "┴",
    _N | _E | _S | _W: "┼", _E: "─", _W: "─", _N: "│", _S: "│",
}  # fmt: skip
_CORNERS_ASCII: Final = {
    mask: ("-" if mask & ~(_E | _W) == 0 else "|" if mask & ~(_N | _S) == 0 else "+")
    for mask in range(1, 16)
}


@dataclass(frozen=True, slots=True)
class Node:
    """Where a node is drawn."""

    key: str
    x: int
    y: int
    cells: int


@dataclass(frozen=True, slots=True)
class Canvas:
    """Drawn lines and the nodes on them."""

    lines: tuple[Content, ...]
    nodes: tuple[Node, ...]
    width: int


def node_content(group: TaskGroup, look: Look) -> Content:
    """Return the text of a node: ``fetch ✓95 ▸4 ✗1 /106``, or ``prepare ✓`` for a single run."""
    signs = look.symbols
    name = cut(clean(group.task, 200, ascii_only=signs.ascii), _NAME, ellipsis=signs.ellipsis)
    parts: list[str | tuple[str, str]] = [(name, "bold $fd-strong")]
    for bucket in ORDER:
        count = group.counts[BUCKETS.index(bucket)]
        if count:
            kind: Kind = BUCKET_KINDS[BUCKETS.index(bucket)]
            text = f" {signs.of(kind)}" + (number(count, signs.group) if group.n > 1 else "")
            parts.append((text, style_of(kind)))
    if group.n > 1:
        parts.append((f" /{number(group.n, signs.group)}", "$fd-faint"))
    return Content.assemble(*parts, strip_control_codes=False)


def draw_graph(graph: TaskGraph, look: Look, cells: int) -> Canvas:
    """Return the graph for a width: left to right if it fits and there is room, else a tree."""
    nodes = {group.task_key: node_content(group, look) for group in graph.groups}
    edges = _reduced(nodes, [(edge.source, edge.target) for edge in graph.edges])
    if cells >= TREE_BELOW:
        canvas = _left_to_right(nodes, edges, look)
        if canvas is not None and canvas.width <= cells:
            return canvas
    return _tree(nodes, edges, look)


def _reduced(
    nodes: Mapping[str, Content], edges: Sequence[tuple[str, str]]
) -> dict[str, list[str]]:
    """Return the targets of every node, without edges that a longer way implies."""
    targets: dict[str, list[str]] = {key: [] for key in nodes}
    for source, target in edges:
        if source in targets and target in targets and source != target:
            targets[source].append(target)

    reach: dict[str, frozenset[str]] = {}

    def reached(key: str, path: frozenset[str]) -> frozenset[str]:
        if key not in reach:
            following = [t for t in targets[key] if t not in path]
            reach[key] = frozenset(following).union(*(reached(t, path | {key}) for t in following))
        return reach[key]

    for key in nodes:
        reached(key, frozenset({key}))
    return {
        key: [
            t for t in dict.fromkeys(found)
            if not any(t in reach[other] for other in found if other != t)
        ]
        for key, found in targets.items()
    }  # fmt: skip


def _ranks(nodes: Mapping[str, Content], edges: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return each node's column: one right of its last source (loops are cut)."""
    sources: dict[str, list[str]] = {key: [] for key in nodes}
    for source, targets in edges.items():
        for target in targets:
            sources[target].append(source)
    ranks: dict[str, int] = {}

    def rank(key: str, path: frozenset[str]) -> int:
        if key not in ranks:
            above = [rank(s, path | {key}) for s in sources[key] if s not in path]
            ranks[key] = 1 + max(above, default=-1)
        return ranks[key]

    for key in nodes:
        rank(key, frozenset({key}))
    return ranks


class _Plane:
    """Cells with the directions in which lines leave them."""

    def __init__(self) -> None:
        self.masks: dict[tuple[int, int], int] = {}
        self.tips: set[tuple[int, int]] = set()

    def link(self, x: int, y: int, mask: int) -> None:
        self.masks[x, y] = self.masks.get((x, y), 0) | mask

    def across(self, x0: int, x1: int, y: int) -> None:
        """Draw from the left edge of ``x0`` to the right edge of ``x1``."""
        for x in range(x0, x1 + 1):
            self.link(x, y, _E | _W)

    def step(self, x0: int, x1: int, turn: int, y0: int, y1: int) -> None:
        """Draw from ``(x0, y0)`` to ``(x1, y1)``, changing rows in column ``turn``."""
        if y0 == y1:
            self.across(x0, x1, y0)
            return
        self.across(x0, turn - 1, y0)
        self.across(turn + 1, x1, y1)
        down = y1 > y0
        self.link(turn, y0, _W | (_S if down else _N))
        self.link(turn, y1, _E | (_N if down else _S))
        for y in range(min(y0, y1) + 1, max(y0, y1)):
            self.link(turn, y, _N | _S)


def _left_to_right(
    nodes: Mapping[str, Content], edges: Mapping[str, Sequence[str]], look: Look
) -> Canvas | None:
    """Place nodes in columns and draw the edges between them; ``None`` for an empty graph."""
    if not nodes:
        return None
    ranks = _ranks(nodes, edges)
    columns: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for key in nodes:
        columns[ranks[key]].append(key)
    hops = _hops(edges, ranks, columns)
    _order(columns, hops)
    rows = {key: row for column in columns for row, key in enumerate(column)}
    widths = [max(nodes[k].cell_length if k in nodes else 1 for k in c) for c in columns]
    starts = [sum(widths[:i]) + GAP * i for i in range(len(columns))]
    plane = _Plane()
    for source, target, column in hops:
        x0 = starts[column] + (nodes[source].cell_length + 1 if source in nodes else 0)
        x1 = starts[column + 1] - (2 if target in nodes else 1)
        turn = starts[column] + widths[column] + GAP // 2 - 1
        plane.step(x0, x1, turn, rows[source] * 2, rows[target] * 2)
        if target in nodes:
            plane.tips.add((x1, rows[target] * 2))
        else:
            plane.across(starts[column + 1], starts[column + 1] + widths[column + 1] - 1,
                         rows[target] * 2)  # fmt: skip
    placed = [Node(key, starts[ranks[key]], rows[key] * 2, nodes[key].cell_length) for key in nodes]
    height = max(len(column) for column in columns) * 2 - 1
    return _drawn(plane, placed, nodes, height, starts[-1] + widths[-1], look)


def _hops(
    edges: Mapping[str, Sequence[str]], ranks: dict[str, int], columns: list[list[str]]
) -> list[tuple[str, str, int]]:
    """Split edges into steps from one column to the next, over blind nodes where they pass."""
    hops: list[tuple[str, str, int]] = []
    for source, targets in edges.items():
        for target in targets:
            before = source
            for column in range(ranks[source] + 1, ranks[target]):
                blind = f"\0{source}\0{target}\0{column}"
                columns[column].append(blind)
                hops.append((before, blind, column - 1))
                before = blind
            if ranks[target] > ranks[source]:
                hops.append((before, target, ranks[target] - 1))
    return hops


def _order(columns: list[list[str]], hops: Sequence[tuple[str, str, int]]) -> None:
    """Order each column by where its sources are: fewer crossings."""
    for place in range(1, len(columns)):
        rows = {key: row for row, key in enumerate(columns[place - 1])}
        weights: dict[str, list[int]] = {}
        for source, target, column in hops:
            if column == place - 1:
                weights.setdefault(target, []).append(rows[source])
        was = {key: row for row, key in enumerate(columns[place])}
        columns[place].sort(
            key=lambda k: (sum(weights[k]) / len(weights[k]) if k in weights else was[k], was[k])
        )


def _drawn(
    plane: _Plane, placed: Sequence[Node], nodes: Mapping[str, Content], height: int, cells: int,
    look: Look,
) -> Canvas:  # fmt: skip
    corners = _CORNERS_ASCII if look.symbols.ascii else _CORNERS
    tip = look.symbols.arrow[-1]
    lines: list[Content] = []
    for y in range(height):
        parts: list[str | Content | tuple[str, str]] = []
        x = 0
        here = sorted((node for node in placed if node.y == y), key=lambda node: node.x)
        for node in [*here, None]:
            end = node.x if node is not None else cells
            gap = "".join(
                tip if (i, y) in plane.tips else corners.get(plane.masks.get((i, y), 0), " ")
                for i in range(x, end)
            )
            parts.append((gap, "$fd-faint"))
            if node is not None:
                parts.append(nodes[node.key])
                x = node.x + node.cells
        lines.append(Content.assemble(*parts, strip_control_codes=False))
    return Canvas(tuple(lines), tuple(placed), cells)


def _tree(nodes: Mapping[str, Content], edges: Mapping[str, Sequence[str]], look: Look) -> Canvas:
    """Return the graph as an indented tree; a node with several sources stands below the first."""
    signs = look.symbols
    targets_of_any = {target for targets in edges.values() for target in targets}
    lines: list[Content] = []
    placed: list[Node] = []
    seen: set[str] = set()

    def put(key: str, head: str, below: str) -> None:
        seen.add(key)
        placed.append(Node(key, width(head), len(lines), nodes[key].cell_length))
        lines.append(Content.assemble((head, "$fd-faint"), nodes[key], strip_control_codes=False))
        following = [target for target in edges[key] if target not in seen]
        seen.update(following)
        for place, target in enumerate(following):
            last = place == len(following) - 1
            put(
                target,
                below + (signs.branch_last if last else signs.branch),
                below + ("  " if last else signs.branch_line),
            )

    for key in nodes:
        if key not in targets_of_any and key not in seen:
            put(key, "", "")
    for key in nodes:  # what only a loop reaches
        if key not in seen:
            put(key, "", "")
    return Canvas(tuple(lines), tuple(placed), max((line.cell_length for line in lines), default=0))


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
