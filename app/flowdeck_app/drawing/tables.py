"""Plain tables: aligned columns without frames, so that they can be read, cut and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from flowdeck_app.drawing.cells import fit, fit_middle, fit_right, width
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowdeck_app.drawing.cells import Cell
    from flowdeck_app.drawing.look import Look

GAP = 2
MAX_CELL = 300  # where nothing limits the width


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column: its heading, and what happens when the line is too long."""

    title: str
    right: bool = False
    least: int | None = None  # may shrink to this many cells; None: keeps its width
    middle: bool = False  # is cut in its middle


#: Cells; their texts may come from anywhere. One without a style may be the text alone.
Row: TypeAlias = "Sequence[Cell | str]"


def table(columns: Sequence[TextColumn], rows: Sequence[Row], look: Look) -> list[str]:
    """Return heading and rows as lines that fit ``look.width``.

    A column that may shrink is left out where none of its cells has a text.

    Args:
        columns: of which those with ``least`` give way, the widest first.
        rows: a cell for each column.
        look: what the place can show.
    """
    body = [[_cell(item) for item in row] for row in rows]
    used = [
        index
        for index, column in enumerate(columns)
        if column.least is None or any(row[index][0] for row in body)
    ]
    columns = [columns[index] for index in used]  # a column with nothing in it is left out
    body = [[row[index] for index in used] for row in body]
    widths = _widths(columns, body, look)
    heading = [(column.title, "dim") for column in columns]
    return [_line(columns, row, widths, look) for row in [heading, *body]]


def _cell(item: Cell | str) -> Cell:
    text, style = (item, "") if isinstance(item, str) else item
    return one_line(text, MAX_CELL), style


def _widths(columns: Sequence[TextColumn], body: Sequence[Sequence[Cell]], look: Look) -> list[int]:
    widths = [
        max([width(column.title), *(width(row[index][0]) for row in body)])
        for index, column in enumerate(columns)
    ]
    if look.width is None:
        return widths
    over = sum(widths) + GAP * (len(widths) - 1) - look.width
    while over > 0:
        # The widest that may shrink gives way until it is as wide as the next.
        able = [
            (widths[index], index)
            for index, column in enumerate(columns)
            if column.least is not None and widths[index] > column.least
        ]
        if not able:
            break
        able.sort(reverse=True)
        widest, index = able[0]
        least = columns[index].least or 0
        target = max(least, able[1][0] - 1 if len(able) > 1 else least, widest - over)
        over -= widest - target
        widths[index] = target
    return widths


def _line(
    columns: Sequence[TextColumn], row: Sequence[Cell], widths: Sequence[int], look: Look
) -> str:
    parts = []
    for column, (whole, style), room in zip(columns, row, widths, strict=True):
        fitted = (fit_middle if column.middle else fit)(whole, room, ellipsis=look.ellipsis)
        text = fitted.rstrip()
        padded = fit_right(text, room) if column.right else fitted
        parts.append(padded.replace(text, look.paint(text, style), 1) if text else padded)
    return (" " * GAP).join(parts).rstrip()


def section(title: str, lines: Sequence[str], look: Look) -> Iterator[str]:
    """Yield a heading and its lines indented; nothing when there are none."""
    if lines:
        yield ""
        yield look.paint(title, "bold")
        yield from (f"  {line}" if line else "" for line in lines)


def facts(pairs: Sequence[tuple[str, str]], look: Look) -> list[str]:
    """Return names and values, one a line, the names aligned; values that are empty are left out.

    Values are shown as they are: the caller has made them safe.
    """
    shown = [(name, value) for name, value in pairs if value]
    widest = max((width(name) for name, _ in shown), default=0)
    return [f"{look.paint(fit(name, widest), 'dim')}  {value}" for name, value in shown]
