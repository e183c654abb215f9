"""What a recorded result looks like, as lines: tables and arrays in columns, trees indented. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing.amounts import number, size
from flowdeck_app.drawing.cells import clean, cut, fit, fit_right, width
from flowdeck_app.views.facts import content
from flowdeck_store.outlines import ArrayOutline, FrameOutline, TreeOutline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.outlines import Outline

#: Cells of one column, and of a key in a tree.
_CELL = 32
_KEY = 40
_GAP = "  "


def outline_lines(outline: Outline, look: Look) -> list[Content]:
    """Return an outline as lines: first what it is, then what is in it."""
    if isinstance(outline, FrameOutline):
        return list(_frame(outline, look))
    if isinstance(outline, ArrayOutline):
        return list(_array(outline, look))
    return list(_tree(outline, look, 0))


def _frame(frame: FrameOutline, look: Look) -> Iterator[Content]:
    rows, columns = (*frame.shape, 0, 0)[:2]
    head = f"{_several(rows, 'row')}, {_several(columns, 'column')}"
    yield content((_safe(frame.type, look), "bold"), f"  {head}")
    heading = [[name for name, _ in frame.columns], [dtype for _, dtype in frame.columns]]
    index = ["", "", *frame.index] if frame.index else None
    yield from _grid([*heading, *frame.rows], look, index, headings=len(heading))
    left = [
        _several(n, f"more {what}")
        for n, what in ((rows - len(frame.rows), "row"), (columns - len(frame.columns), "column"))
        if n > 0
    ]
    if left:
        yield content((f"{look.ellipsis} {' and '.join(left)}", "$fd-faint"))


def _array(array: ArrayOutline, look: Look) -> Iterator[Content]:
    times = "x" if look.symbols.ascii else "×"
    shape = f" {times} ".join(number(n) for n in array.shape) or "a single value"
    where = f"  on {_safe(array.device, look)}" if array.device else ""
    head = f"  {_safe(array.dtype, look)}  {shape}  {size(array.nbytes)}{where}"
    yield content((_safe(array.type, look), "bold"), head)
    if array.least is not None and array.greatest is not None:
        sample = ("  of a sample" if array.sampled else "", "$fd-faint")
        yield content(
            ("min ", "$fd-muted"), _safe(array.least, look),
            ("  max ", "$fd-muted"), _safe(array.greatest, look), sample,
        )  # fmt: skip
    yield from _grid(array.rows, look, None, headings=0)
    shown = sum(len(row) for row in array.rows)
    total = 1
    for length in array.shape:
        total *= length
    if total > shown:
        yield content((f"{look.ellipsis} {number(total - shown)} more", "$fd-faint"))


def _grid(
    rows: Sequence[Sequence[str]], look: Look, index: Sequence[str] | None, *, headings: int
) -> Iterator[Content]:
    """Yield rows in columns, all right-aligned but the labels of rows."""
    cells = [
        [cut(_safe(text, look), _CELL, ellipsis=look.ellipsis) for text in row] for row in rows
    ]
    labels = [] if index is None else [_safe(text, look)[:_CELL] for text in index]
    wide = [
        max(width(row[at]) for row in cells if at < len(row))
        for at in range(max((len(row) for row in cells), default=0))
    ]
    label_cells = max(map(width, labels), default=0)
    for place, row in enumerate(cells):
        label = labels[place] if place < len(labels) else ""
        before = fit(label, label_cells) + _GAP if label_cells else ""
        line = _GAP.join(fit_right(text, wide[at]) for at, text in enumerate(row))
        style = ("$fd-strong", "$fd-faint")[place] if place < headings else ""
        yield content((before, "$fd-faint"), (line, style))


def _tree(node: TreeOutline, look: Look, depth: int) -> Iterator[Content]:
    indent = _GAP * depth
    key = cut(_safe(node.key, look), _KEY, ellipsis=look.ellipsis)
    before = [(indent, ""), (f"{key}  " if key else "", "$fd-accent")]
    kind = (_safe(node.type, look), "bold" if not depth else "$fd-muted")
    if node.n is None:
        text = _safe(node.text or "", look)
        yield content(*before, (text, "") if text else kind)
        return
    yield content(*before, kind, (f"  {_several(node.n, 'item')}", "$fd-faint"))
    for item in node.items:
        yield from _tree(item, look, depth + 1)
    if node.n > len(node.items):
        more = f"{indent}{_GAP}{look.ellipsis} {number(node.n - len(node.items))} more"
        yield content((more, "$fd-faint"))


def _several(count: int, what: str) -> str:
    return f"{number(count)} {what}" if count == 1 else f"{number(count)} {what}s"


def _safe(text: str, look: Look) -> str:
    return clean(text, 400, newline=look.symbols.newline, ascii_only=look.symbols.ascii)
