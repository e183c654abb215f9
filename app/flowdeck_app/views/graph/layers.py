"""Where the nodes of a graph lie and where its edges run: numbers only, no text.

The way of Sugiyama: without loops and without edges that a longer way implies, each node stands one
column right of its last source; edges that pass a column get a blind node in it; each column is
ordered by where the neighbours are, then moved to lie level with them. So a chain is a straight
line, and a fan opens to both sides of what it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: A node, or a blind one: source and target of the edge, and the column that it passes.
_Key: TypeAlias = "str | tuple[str, str, int]"
#: Cells between two columns, at least; rows between two nodes.
GAP: Final = 6
_ROWS: Final = 1
_SWEEPS: Final = 3


class Extent(NamedTuple):
    """How big a node is, and in which of its rows the edges meet it."""

    cells: int
    rows: int = 1
    port: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of an edge, from one column to the next, changing rows at ``turn``."""

    edge: tuple[str, str]
    x0: int
    y0: int
    turn: int
    x1: int
    y1: int
    arrives: bool  # at its target, not at a column that it passes


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """Left upper corners of the nodes, the width of the column of each, and the edges."""

    places: Mapping[str, tuple[int, int]]
    cells: Mapping[str, int]
    stretches: tuple[Stretch, ...]
    width: int
    height: int


@dataclass(slots=True)
class _Columns:
    keys: list[list[_Key]]
    hops: list[tuple[_Key, _Key, int, tuple[str, str]]] = field(default_factory=list)

    def neighbours(self, place: int, step: int) -> dict[_Key, list[_Key]]:
        """Return what each node of a column is joined to in the column ``step`` beside it."""
        found: dict[_Key, list[_Key]] = {}
        for source, target, column, _ in self.hops:
            if step < 0 and column == place - 1:
                found.setdefault(target, []).append(source)
            elif step > 0 and column == place:
                found.setdefault(source, []).append(target)
        return found


def reduced(
    keys: Iterable[str], edges: Iterable[tuple[str, str]]
) -> tuple[dict[str, list[str]], list[str]]:
    """Return the targets of every node, and the nodes with each before its targets.

    Left out are edges to what is not there, edges that close a loop, and those that a longer way
    implies.
    """
    targets: dict[str, list[str]] = {key: [] for key in keys}
    for source, target in dict.fromkeys(edges):
        if source in targets and target in targets and source != target:
            targets[source].append(target)
    order = _without_loops(targets)
    bit = {key: 1 << place for place, key in enumerate(order)}
    reach: dict[str, int] = {}
    for key in reversed(order):
        reach[key] = 0
        for target in targets[key]:
            reach[key] |= bit[target] | reach[target]
    for key, found in targets.items():
        targets[key] = [
            t for t in found if not any(reach[o] & bit[t] for o in found if o != t)
        ]  # fmt: skip
    return targets, order


def _without_loops(targets: dict[str, list[str]]) -> list[str]:
    """Drop the edges that close a loop; return the nodes with each before its targets."""
    order: list[str] = []
    begun: set[str] = set()
    ended: set[str] = set()
    for root in targets:
        if root in begun:
            continue
        begun.add(root)
        stack = [(root, iter(list(targets[root])))]
        while stack:
            key, rest = stack[-1]
            target = next(rest, None)
            if target is None:
                ended.add(key)
                order.append(key)
                stack.pop()
            elif target not in begun:
                begun.add(target)
                stack.append((target, iter(list(targets[target]))))
            elif target not in ended:
                targets[key].remove(target)
    order.reverse()
    return order


def layout(
    extents: Mapping[str, Extent], targets: Mapping[str, Sequence[str]], order: Sequence[str]
) -> GraphLayout:
    """Place nodes in columns from left to right and lead the edges between them.

    Args:
        extents: how big each node is; a column is as wide as its widest.
        targets: of every node, without loops: see :func:`reduced`.
        order: each node before its targets.
    """
    if not extents:
        return GraphLayout({}, {}, (), 0, 0)
    columns = _columns(extents, targets, order)
    _order(columns)
    tops = _tops(columns, extents)
    ports = {key: top + _extent(extents, key).port for key, top in tops.items()}
    widths = [max(_extent(extents, key).cells for key in keys) for keys in columns.keys]
    lanes = [_lanes(columns, place, ports) for place in range(len(widths) - 1)]
    gaps = [max(GAP, 2 * max(found.values(), default=0) + 5) for found in lanes]
    starts = [sum(widths[:i]) + sum(gaps[:i]) for i in range(len(widths))]
    stretches = []
    for source, target, place, edge in columns.hops:
        turn = starts[place] + widths[place] + 2 + 2 * lanes[place].get(source, 0)
        arrives = isinstance(target, str)
        x0 = starts[place] + widths[place] if isinstance(source, str) else starts[place]
        x1 = starts[place + 1] - 1
        stretches.append(Stretch(edge, x0, ports[source], turn, x1, ports[target], arrives))
    where = {key: place for place, keys in enumerate(columns.keys) for key in keys}
    return GraphLayout(
        {key: (starts[where[key]], tops[key]) for key in extents},
        {key: widths[where[key]] for key in extents},
        tuple(stretches),
        starts[-1] + widths[-1],
        max(top + _extent(extents, key).rows for key, top in tops.items()),
    )


def _extent(extents: Mapping[str, Extent], key: _Key) -> Extent:
    return extents[key] if isinstance(key, str) else Extent(1)


def _columns(
    extents: Mapping[str, Extent], targets: Mapping[str, Sequence[str]], order: Sequence[str]
) -> _Columns:
    ranks = dict.fromkeys(order, 0)
    for key in order:
        for target in targets[key]:
            ranks[target] = max(ranks[target], ranks[key] + 1)
    columns = _Columns([[] for _ in range(max(ranks.values()) + 1)])
    for key in extents:
        columns.keys[ranks[key]].append(key)
    for source in extents:
        for target in targets[source]:
            before: _Key = source
            for place in range(ranks[source] + 1, ranks[target]):
                blind = (source, target, place)
                columns.keys[place].append(blind)
                columns.hops.append((before, blind, place - 1, (source, target)))
                before = blind
            columns.hops.append((before, target, ranks[target] - 1, (source, target)))
    return columns


def _order(columns: _Columns) -> None:
    """Order each column by where its neighbours are, to and fro: fewer crossings."""
    count = len(columns.keys)
    for sweep in range(_SWEEPS):
        step = -1 if sweep % 2 == 0 else 1
        for place in range(1, count) if step < 0 else range(count - 2, -1, -1):
            rows = {key: row for row, key in enumerate(columns.keys[place + step])}
            joined = columns.neighbours(place, step)
            weights: dict[_Key, float] = {
                key: sum(rows[k] for k in joined[key]) / len(joined[key])
                if key in joined else float(row)
                for row, key in enumerate(columns.keys[place])
            }  # fmt: skip
            columns.keys[place].sort(key=weights.__getitem__)


def _tops(columns: _Columns, extents: Mapping[str, Extent]) -> dict[_Key, int]:
    """Return the first row of every node: level with its neighbours, none over another."""
    tops: dict[_Key, int] = {}
    for keys in columns.keys:
        heights = [_extent(extents, key).rows for key in keys]
        first = -(sum(heights) + _ROWS * (len(keys) - 1)) // 2
        tops.update(zip(keys, spread([float(first)] * len(keys), heights), strict=True))
    count = len(columns.keys)
    for sweep in range(_SWEEPS):
        step = -1 if sweep % 2 == 0 else 1
        for place in range(1, count) if step < 0 else range(count - 2, -1, -1):
            joined = columns.neighbours(place, step)
            keys = columns.keys[place]
            wanted = []
            for key in keys:
                ports = [tops[k] + _extent(extents, k).port for k in joined.get(key, ())]
                own = _extent(extents, key).port
                wanted.append(sum(ports) / len(ports) - own if ports else float(tops[key]))
            heights = [_extent(extents, key).rows for key in keys]
            tops.update(zip(keys, spread(wanted, heights), strict=True))
    first = min(tops.values())
    return {key: top - first for key, top in tops.items()}


def spread(wanted: Sequence[float], heights: Sequence[int], gap: int = _ROWS) -> list[int]:
    """Return first rows as near as possible to the wanted ones, in order, none over another.

    What would overlap moves as one block to where its members want to be on average.
    """
    blocks: list[list[float]] = []  # sum of what its members want of its first, and how many
    offsets: list[int] = []
    offset = 0
    for want, height in zip(wanted, heights, strict=True):
        offsets.append(offset)
        blocks.append([want - offset, 1])
        offset += height + gap
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
    firsts = [round(total / members) for total, members in blocks for _ in range(int(members))]
    return [first + offset for first, offset in zip(firsts, offsets, strict=True)]


def _lanes(columns: _Columns, place: int, ports: Mapping[_Key, int]) -> dict[_Key, int]:
    """Return in which lane behind a column each source's edges change rows.

    Edges of one source share a lane, those of others that would lie over them take the next. Of two
    that lead down the lower turns first: so it has left the row in which the other one arrives.
    """
    spans: list[tuple[int, _Key, int, int]] = []
    for source, targets in columns.neighbours(place, 1).items():
        rows = [ports[target] for target in targets]
        low, high = min(*rows, ports[source]), max(*rows, ports[source])
        if low != high:
            down = high - ports[source] >= ports[source] - low
            spans.append((-ports[source] if down else ports[source], source, low, high))
    lanes: dict[_Key, int] = {}
    taken: list[tuple[int, int, int]] = []
    for _, source, low, high in sorted(spans, key=lambda span: span[0]):
        lane = max((n + 1 for n, a, b in taken if a <= high and low <= b), default=0)
        lanes[source] = lane
        taken.append((lane, low, high))
    return lanes
