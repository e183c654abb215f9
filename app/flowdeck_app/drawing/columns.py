"""Columns of a table: which are shown at a width, how wide, and one row as Content.

Every column has a least width and a place in the drop order: when the line is too narrow the
column with the highest ``drop`` goes first. What is left over goes to the columns that grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from textual.content import Content, Span

from flowdeck_app.drawing.cells import fit, fit_middle, fit_right
from flowdeck_app.drawing.cells import width as width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowdeck_app.drawing.cells import Cell
    from flowdeck_app.drawing.look import Look

R = TypeVar("R")

_FITS: Final = {"left": fit, "right": fit_right, "middle": fit_middle}


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        key: its name in sort settings and messages.
        title: heading.
        cell: record and look -> text and style (``""``: the row's own).
        width: least width in cells.
        grow: share of the left-over width (0: fixed).
        most: greatest width (0: no limit).
        drop: 0 is never dropped; the highest goes first.
        since: least width of the table at which it is shown at all.
        fits: it takes no more than its texts need.
        first: it gets that before other columns grow.
        optional: it is left out until a row says something in it.
        align: ``left``, ``right`` or ``middle`` (left, cut in the middle).
        gap: cells before the column.
        order: name of the sort order that a click on the heading asks for.
        paint: instead of ``cell``, for cells with several styles: gets the width too and answers
            a Content of at most that many cells.
    """

    key: str
    title: str
    cell: Callable[[R, Look], Cell]
    width: int = 1
    grow: int = 0
    most: int = 0
    drop: int = 0
    since: int = 0
    align: str = "left"
    gap: int = 1
    order: str = ""
    fits: bool = False
    first: bool = False
    optional: bool = False
    paint: Callable[[R, Look, int], Content] | None = None


@dataclass(frozen=True, slots=True)
class Layout(Generic[R]):
    """The shown columns with their widths; the first begins at cell 0."""

    columns: tuple[tuple[Column[R], int], ...]
    width: int

    def column_at(self, x: int) -> Column[R] | None:
        """Return the column that cell ``x`` of a row belongs to."""
        position = 0
        for column, cells in self.columns:
            position += column.gap + cells
            if x < position:
                return column
        return None

    def start_of(self, key: str) -> int | None:
        """Return the first cell of a column, ``None`` while it is not shown."""
        position = 0
        for column, cells in self.columns:
            position += column.gap
            if column.key == key:
                return position
            position += cells
        return None


def lay_out(
    columns: Sequence[Column[R]], width: int, needs: Mapping[str, int] | None = None
) -> Layout[R]:
    """Choose columns and widths for a line of ``width`` cells.

    Args:
        columns: all there are, in the order shown.
        width: cells of the line.
        needs: cells that the texts of a column need, by its key. Of which columns are shown only the
            optional ones depend on it, so none but these comes while rows are scrolled, and none goes.
    """
    shown = [
        column
        for column in columns
        if width >= column.since and (needs is None or not column.optional or needs.get(column.key))
    ]
    while len(shown) > 1 and _least(shown) > width:
        droppable = [column for column in shown if column.drop]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda column: column.drop))
    known = {} if needs is None else needs
    shown = [_fitted(column, known[column.key]) if column.key in known else column
             for column in shown]  # fmt: skip
    widths = {column.key: column.width for column in shown}
    _share(
        [column for column in shown if column.first and column.key in known],
        widths,
        width - _least(shown),
    )
    _share(shown, widths, width - _taken(shown, widths))
    own = {column.key: column for column in columns}  # what nobody needs goes where it may
    _share([own[column.key] for column in shown], widths, width - _taken(shown, widths))
    return Layout(tuple((column, widths[column.key]) for column in shown), width)


def _taken(columns: Sequence[Column[R]], widths: Mapping[str, int]) -> int:
    return sum(widths[column.key] + column.gap for column in columns)


def _fitted(column: Column[R], need: int) -> Column[R]:
    """Return the column as wide as its texts and its title with the arrow need, within its limits."""
    wanted = max(need, width_of(column.title) + (2 if column.order else 0), 4) + 1
    most = min(wanted, column.most) if column.most else wanted
    return replace(column, width=min(column.width, most), most=most, grow=column.grow or 1)


def needs_of(columns: Sequence[Column[R]], record: R, look: Look) -> dict[str, int]:
    """Return the cells that the texts of a record need in the columns that fit their texts; 0 in an
    optional one in which it says nothing."""
    needs = {c.key: c.cell(record, look)[0] for c in columns if c.fits or c.optional}
    silent = {c.key for c in columns if c.optional and needs[c.key] in {"", look.dash}}
    return {key: 0 if key in silent else width_of(text) for key, text in needs.items()}


def _least(columns: Sequence[Column[R]]) -> int:
    return sum(column.width + column.gap for column in columns)


def _share(columns: Sequence[Column[R]], widths: dict[str, int], spare: int) -> None:
    """Give the spare cells to the growing columns, in proportion, within their limits."""
    growing = [column for column in columns if column.grow]
    while spare > 0 and growing:
        total = sum(column.grow for column in growing)
        given = 0
        for column in list(growing):
            share = max(1, spare * column.grow // total)
            room = column.most - widths[column.key] if column.most else share
            take = min(share, room, spare - given)
            widths[column.key] += max(0, take)
            given += max(0, take)
            if column.most and widths[column.key] >= column.most:
                growing.remove(column)
        if not given:
            break
        spare -= given


def row_content(layout: Layout[R], record: R, look: Look) -> Content:
    """Return one record as a row of exactly the layout's columns."""
    pieces: list[str] = []
    spans: list[Span] = []
    position = 0
    ellipsis = look.ellipsis
    for column, cells in layout.columns:
        if column.gap:
            pieces.append(" " * column.gap)
            position += column.gap
        if column.paint is not None:
            painted = column.paint(record, look, cells)
            drawn = painted.plain + " " * (cells - painted.cell_length)
            spans += [Span(a + position, b + position, style) for a, b, style in painted.spans]
        else:
            text, style = column.cell(record, look)
            drawn = _FITS[column.align](text, cells, ellipsis=ellipsis)
            if style:
                spans.append(Span(position, position + len(drawn), style))
        pieces.append(drawn)
        position += len(drawn)
    return Content("".join(pieces), spans, strip_control_codes=False)


def heading_content(layout: Layout[R], look: Look, order: str = "") -> Content:
    """Return the heading line; the column that sorts has an arrow.

    Args:
        layout: the columns.
        look: for the signs.
        order: present sort order, ``-`` in front when turned round.
    """
    pieces: list[str] = []
    spans: list[Span] = []
    position = 0
    name = order.removeprefix("-")
    for column, cells in layout.columns:
        title = column.title.replace("×", "x") if look.symbols.ascii else column.title
        sorts = bool(name) and column.order == name
        if sorts:
            title += " " + (look.symbols.up if order.startswith("-") else look.symbols.down)
        drawn = (fit_right if column.align == "right" else fit)(title, cells, ellipsis="")
        if len(drawn) < cells:
            drawn = drawn.ljust(cells)
        text = " " * column.gap + drawn
        pieces.append(text)
        spans.append(Span(position, position + len(text), "$fd-accent" if sorts else "$fd-muted"))
        position += len(text)
    return Content("".join(pieces), spans, strip_control_codes=False)
