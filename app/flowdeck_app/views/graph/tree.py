"""The graph of a run as an indented tree: for narrow terminals, and for graphs that fit nowhere.

A node with several sources stands below the first of them; what an opened subflow did stands below
the subflow, before what follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content

from flowdeck_app.drawing.bars import progress_content
from flowdeck_app.drawing.cells import fit, width
from flowdeck_app.drawing.times import duration
from flowdeck_app.views.critical_path import MARK, MARK_STYLE
from flowdeck_app.views.graph.layers import reduced
from flowdeck_app.views.graph.nodes import (
    BAR,
    counts_of,
    line_of,
    name_of,
    name_style,
    share_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.graph.nodes import TaskBox

#: Cells of the widest bar, and of median and share.
_MOST_BAR: Final = 24
_TOOK: Final = 8
_SHARE: Final = 5
#: Least cells for the names, and for the counts if they are shown.
_LEAST_NAME: Final = 16
_LEAST_COUNTS: Final = 10


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A row: its node, what is drawn before that, and in which style its branch."""

    key: str
    node: TaskBox
    before: str
    branch: str
    style: str

    @property
    def x(self) -> int:
        """The cell in which the node begins."""
        return width(self.before) + width(self.branch)


def tree_rows(
    nodes: Mapping[str, TaskBox],
    edges: Sequence[tuple[str, str]],
    look: Look,
    steps: AbstractSet[tuple[str, str]],
    nested: Mapping[str, tuple[Mapping[str, TaskBox], list[tuple[str, str]]]] | None = None,
) -> list[TreeRow]:
    """Return the rows of the tree.

    Args:
        nodes: by their keys.
        edges: by the keys of both ends.
        look: for the signs.
        steps: edges on the critical path.
        nested: nodes and edges of opened subflows, by the whole keys of these.
    """
    return _rows(nodes, edges, look, steps, nested or {}, "", "")


def _rows(
    nodes: Mapping[str, TaskBox],
    edges: Sequence[tuple[str, str]],
    look: Look,
    steps: AbstractSet[tuple[str, str]],
    nested: Mapping[str, tuple[Mapping[str, TaskBox], list[tuple[str, str]]]],
    inside: str,
    margin: str,
) -> list[TreeRow]:
    signs = look.symbols
    targets, order = reduced(nodes, edges)
    has_source = {target for found in targets.values() for target in found}
    rows: list[TreeRow] = []
    seen: set[str] = set()
    roots = [key for key in nodes if key not in has_source]
    rest = [key for key in order if key in has_source]  # what only a loop reaches
    # A stack, as a chain of a thousand tasks is as deep: key, before, branch, below, style.
    stack = [(key, margin, "", margin, "$fd-faint") for key in reversed([*roots, *rest])]
    while stack:
        key, before, branch, below, style = stack.pop()
        if key in seen and not branch:
            continue
        seen.add(key)
        whole = inside + key
        rows.append(TreeRow(whole, nodes[key], before, branch, style))
        following = [target for target in targets[key] if target not in seen]
        seen.update(following)
        if whole in nested:
            line = below + (signs.branch_line if following else "  ")
            rows += _rows(*nested[whole], look, frozenset(), nested, f"{whole}\0", line + "  ")
        for place in range(len(following) - 1, -1, -1):
            last = place == len(following) - 1
            lit = (key, following[place]) in steps
            stack.append((
                following[place],
                below,
                signs.branch_last if last else signs.branch,
                below + ("  " if last else signs.branch_line),
                MARK_STYLE if lit else "$fd-faint",
            ))  # fmt: skip
    return rows


def tree_lines(rows: Sequence[TreeRow], look: Look) -> list[Content]:
    """Return the tree with the counts behind each name."""
    return [
        Content.assemble(
            (row.before, "$fd-faint"), (row.branch, row.style), line_of(row.node, look),
            strip_control_codes=False,
        )
        for row in rows
    ]  # fmt: skip


def tree_table(rows: Sequence[TreeRow], look: Look, cells: int) -> list[Content]:
    """Return the tree with bars, counts, medians and shares in columns: ``cells`` wide."""
    names = [name_of(row.node, look, 60) + (f" {MARK}" if row.node.on_path else "") for row in rows]
    widest = max((row.x + width(name) for row, name in zip(rows, names, strict=True)), default=0)
    told = [counts_of(row.node, look) for row in rows]
    counted = max((sum(width(text) for text, _ in parts) for parts in told), default=0)
    fixed = BAR + _TOOK + _SHARE + 4
    name_cells = min(widest, max(_LEAST_NAME, cells - fixed - min(counted, _LEAST_COUNTS)))
    left = cells - name_cells - fixed
    count_cells = min(counted, max(0, left)) if left >= min(counted, _LEAST_COUNTS) else 0
    bar_cells = BAR + max(0, min(_MOST_BAR - BAR, left - count_cells))
    lines = []
    for row, name, parts in zip(rows, names, told, strict=True):
        room = max(1, name_cells - row.x)
        counts, used = _fitting(parts, count_cells, look.ellipsis)
        lines.append(
            Content.assemble(
                (row.before, "$fd-faint"), (row.branch, row.style),
                (fit(name, room, ellipsis=look.ellipsis), name_style(row.node)), (" ", ""),
                progress_content(row.node.group.counts, bar_cells, look),
                *counts, (" " * (count_cells - used), ""),
                (duration(row.node.group.p50, look.dash).rjust(_TOOK), "$fd-muted"),
                (share_of(row.node, look).rjust(_SHARE), "$fd-faint"),
                strip_control_codes=False,
            )
        )  # fmt: skip
    return lines


def _fitting(
    parts: Sequence[tuple[str, str]], cells: int, ellipsis: str
) -> tuple[list[tuple[str, str]], int]:
    """Return the first parts that fit, with a sign if there are more, and the cells they take."""
    kept: list[tuple[str, str]] = []
    used = 0
    for place, (text, style) in enumerate(parts):
        more = 0 if place == len(parts) - 1 else width(ellipsis)
        if used + width(text) + more > cells:
            if used + width(ellipsis) <= cells:
                kept.append((ellipsis, "$fd-faint"))
                used += width(ellipsis)
            break
        kept.append((text, style))
        used += width(text)
    return kept, used
