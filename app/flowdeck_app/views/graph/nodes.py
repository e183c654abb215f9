"""What one node of a graph looks like: a line, a box, or a frame round the graph of a subflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from textual.content import Content

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.bars import progress_content
from flowdeck_app.drawing.cells import clean, cut
from flowdeck_app.drawing.signs import BUCKET_KINDS, worst_of
from flowdeck_app.drawing.states import style_of
from flowdeck_app.drawing.times import duration
from flowdeck_app.views.chips import ORDER
from flowdeck_app.views.critical_path import MARK, MARK_STYLE
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.summaries import TaskGroup

#: Cells of a name, at most: in a line and a big box, in a small one.
NAME: Final = 28
SMALL_NAME: Final = 18
#: Cells of the narrowest bar.
BAR: Final = 6
_BORDER: Final = (("┌", "─", "┐"), ("│", " ", "│"), ("└", "─", "┘"))
_BORDER_ASCII: Final = (("+", "-", "+"), ("|", " ", "|"), ("+", "-", "+"))


@dataclass(frozen=True, slots=True)
class TaskBox:
    """A task of the run, and how it is shown.

    Attributes:
        group: its task runs.
        share: of the run's wall time during which at least one of them ran, 0 to 1.
        runs: how many subflow runs it stands for.
        is_open: the graph of these is drawn inside.
        on_path: it is on the critical path.
    """

    group: TaskGroup
    share: float | None = None
    runs: int = 0
    is_open: bool = False
    on_path: bool = False


def name_of(node: TaskBox, look: Look, cells: int = NAME) -> str:
    """Return its name; before that of a subflow stands whether it can be opened or closed."""
    signs = look.symbols
    name = cut(clean(node.group.task, 200, ascii_only=signs.ascii), cells, ellipsis=signs.ellipsis)
    return f"[{'-' if node.is_open else '+'}] {name}" if node.runs else name


def name_style(node: TaskBox) -> str:
    """Return the style of its name."""
    return f"bold {MARK_STYLE if node.on_path else '$fd-strong'}"


def counts_of(node: TaskBox, look: Look) -> list[tuple[str, str]]:
    """Return its counts by state: `` ✓95 ▸4 ✗1``; of a single run the sign alone."""
    group, signs = node.group, look.symbols
    parts = []
    for bucket in ORDER:
        count = group.counts[BUCKETS.index(bucket)]
        if count:
            kind = BUCKET_KINDS[BUCKETS.index(bucket)]
            text = f" {signs.of(kind)}" + (number(count, signs.group) if group.n > 1 else "")
            parts.append((text, style_of(kind)))
    return parts


def line_of(node: TaskBox, look: Look) -> Content:
    """Return a node of one line: ``fetch ✓95 ▸4 ✗1 /106``, or ``prepare ✓`` for a single run."""
    parts: list[tuple[str, str]] = [(name_of(node, look), name_style(node))]
    parts += counts_of(node, look)
    if node.group.n > 1:
        parts.append((f" /{number(node.group.n, look.symbols.group)}", "$fd-faint"))
    if node.on_path:
        parts.append((f" {MARK}", f"bold {MARK_STYLE}"))
    return Content.assemble(*parts, strip_control_codes=False)


def took_of(node: TaskBox, look: Look) -> str:
    """Return the median of its durations: ``p50 1.2s``; of a single run how long it took."""
    took = duration(node.group.p50, look.dash)
    return f"p50 {took}" if node.group.n > 1 else took


def share_of(node: TaskBox, look: Look) -> str:
    """Return its share of the run's wall time: ``43%``."""
    if node.share is None:
        return look.dash
    return "<1%" if 0 < node.share < 0.005 else f"{node.share:.0%}"


def small_box(node: TaskBox, look: Look, cells: int = 0) -> list[Content]:
    """Return a box of three rows: name and count, bar, median and share.

    Args:
        node: the task.
        look: for the signs.
        cells: width; 0: what it needs.
    """
    right = [(f" {duration(node.group.p50, look.dash)}", "$fd-muted")]
    if node.share is not None:
        right.append((f" {share_of(node, look)}", "$fd-faint"))
    title = _title(node, look, SMALL_NAME, problems=True)
    cells = cells or max(_needed(*title), BAR + _cells(right) + 4)
    bar = progress_content(node.group.counts, cells - 4 - _cells(right), look)
    return [
        _edge(node, look, cells, 0, *title),
        _row(node, look, cells, [bar, *right]),
        _edge(node, look, cells, 2, [], []),
    ]


def big_box(node: TaskBox, look: Look, cells: int = 0) -> list[Content]:
    """Return a box of four rows: name and count, bar, counts by state, median and share.

    Args:
        node: the task.
        look: for the signs.
        cells: width; 0: what it needs.
    """
    left = [(text.lstrip() if not place else text, style)
            for place, (text, style) in enumerate(counts_of(node, look))]  # fmt: skip
    right = [(took_of(node, look), "$fd-muted")] if node.group.first_us is not None else []
    if node.share is not None:
        right.append((f"  {share_of(node, look)} of time", "$fd-faint"))
    title = _title(node, look, NAME)
    between = 2 if left else 0
    cells = cells or max(_needed(*title), _cells(left) + _cells(right) + between + 4)
    gap = (" " * (cells - 4 - _cells(left) - _cells(right)), "")
    return [
        _edge(node, look, cells, 0, *title),
        _row(node, look, cells, [progress_content(node.group.counts, cells - 4, look)]),
        _row(node, look, cells, [*left, gap, *right]),
        _edge(node, look, cells, 2, [], []),
    ]


def frame(
    node: TaskBox, look: Look, inner: Sequence[Content], width: int, cells: int = 0
) -> list[Content]:
    """Return a box round the graph of the subflows that a node stands for.

    Args:
        node: the task.
        look: for the signs.
        inner: lines of that graph.
        width: cells of each.
        cells: width of the box; 0: what it needs.
    """
    if not cells:
        cells = max(len_of(big_box(node, look)), width + 4)
    before = (cells - 4 - width) // 2
    after = cells - 4 - width - before
    rows = [
        _row(node, look, cells, [(" " * before, ""), line, (" " * after, "")]) for line in inner
    ]
    return [*big_box(node, look, cells)[:-1], *rows, _edge(node, look, cells, 2, [], [])]


def len_of(lines: Sequence[Content]) -> int:
    """Return the cells of a box."""
    return lines[0].cell_length if lines else 0


def _title(
    node: TaskBox, look: Look, cells: int, *, problems: bool = False
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the left and the right part of the upper border."""
    group, signs = node.group, look.symbols
    left: list[tuple[str, str]] = []
    bucket = worst_of(group.counts)
    if bucket is not None:
        kind = BUCKET_KINDS[BUCKETS.index(bucket)]
        failed = sum(group.counts[BUCKETS.index(name)] for name in ("failed", "crashed"))
        count = number(failed, signs.group) if problems and failed and group.n > 1 else ""
        left.append((f" {signs.of(kind)}{count}", style_of(kind)))
    left.append((f" {name_of(node, look, cells)} ", name_style(node)))
    if node.on_path:
        left.append((f"{MARK} ", f"bold {MARK_STYLE}"))
    many = f" {signs.times}{number(group.n, signs.group)} " if group.n > 1 else ""
    return left, [(many, "$fd-muted")] if many else []


def _cells(parts: Sequence[tuple[str, str]]) -> int:
    return sum(Content(text).cell_length for text, _ in parts)


def _needed(left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]]) -> int:
    return _cells(left) + _cells(right) + 4


def _border(node: TaskBox, look: Look, row: int) -> tuple[tuple[str, str, str], str]:
    signs = _BORDER_ASCII if look.symbols.ascii else _BORDER
    return signs[row], MARK_STYLE if node.on_path else "$fd-faint"


def _edge(
    node: TaskBox, look: Look, cells: int, row: int,
    left: Sequence[tuple[str, str]], right: Sequence[tuple[str, str]],
) -> Content:  # fmt: skip
    """Return the upper or lower border with texts in it."""
    (first, line, last), style = _border(node, look, row)
    rest = max(0, cells - _cells(left) - _cells(right) - 4)
    return Content.assemble(
        (first + line, style), *left, (line * rest, style), *right, (line + last, style),
        strip_control_codes=False,
    )  # fmt: skip


def _row(
    node: TaskBox, look: Look, cells: int, parts: Sequence[Content | tuple[str, str]]
) -> Content:
    (first, _, last), style = _border(node, look, 1)
    return Content.assemble(
        (f"{first} ", style), *parts, (f" {last}", style), strip_control_codes=False
    )
