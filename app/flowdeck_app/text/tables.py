"""Plain tables: aligned columns without frames, so that they can be read, cut and searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from flowdeck_app.text.safe import one_line
from flowdeck_app.views.text import fit, fit_middle, fit_right, width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.text.look import Look, Style

GAP = 2
MAX_CELL = 300  # where nothing limits the width


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and what happens when the line is too long."""

    title: str
    right: bool = False
    least: int | None = None  # may shrink to this many cells; None: keeps its width
    middle: bool = False  # is cut in its middle


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; the text may come from anywhere."""

    text: str
    style: Style = ""


Row: TypeAlias = "Sequence[Cell | str]"


def table(columns: Sequence[Column], rows: Sequence[Row], look: Look) -> list[str]:
    """Return heading and rows as lines that fit ``look.width``."""
    body = [[_cell(item) for item in row] for row in rows]
    used = [
        index
        for index, column in enumerate(columns)
        if column.least is None or any(row[index].text for row in body)
    ]
    columns = [columns[index] for index in used]  # a column with nothing in it is left out
    body = [[row[index] for index in used] for row in body]
    widths = _widths(columns, body, look)
    heading = [Cell(column.title, "dim") for column in columns]
    return [_line(columns, row, widths, look) for row in [heading, *body]]


def _cell(item: Cell | str) -> Cell:
    cell = item if isinstance(item, Cell) else Cell(item)
    return Cell(one_line(cell.text, MAX_CELL), cell.style)


def _widths(columns: Sequence[Column], body: Sequence[Sequence[Cell]], look: Look) -> list[int]:
    widths = [
        max([width(column.title), *(width(row[index].text) for row in body)])
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


def _line(columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], look: Look) -> str:
    parts = []
    for column, cell, room in zip(columns, row, widths, strict=True):
        fitted = (fit_middle if column.middle else fit)(cell.text, room, ellipsis=look.ellipsis)
        text = fitted.rstrip()
        padded = fit_right(text, room) if column.right else fitted
        parts.append(padded.replace(text, look.paint(text, cell.style), 1) if text else padded)
    return (" " * GAP).join(parts).rstrip()


def facts(pairs: Sequence[tuple[str, str]], look: Look) -> list[str]:
    """Return names and values, one a line, the names aligned; values that are empty are left out.

    Values are shown as they are: the caller has made them safe.
    """
    shown = [(name, value) for name, value in pairs if value]
    widest = max((width(name) for name, _ in shown), default=0)
    return [f"{look.paint(fit(name, widest), 'dim')}  {value}" for name, value in shown]
