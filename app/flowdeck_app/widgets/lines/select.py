"""The text under a drag selection of a line view.

Places are ``Offset(character, row index * LINES + line)``. A short selection is read from the rows
at hand; a long one, scrolled over, is fetched from the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.widgets.lines.draw import LINES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.selection import Selection

    from flowdeck_app.widgets.lines.surface import LineSurface

#: Rows copied at most in one go.
MOST: Final = 100_000


def rows_of(view: LineSurface[Any], selection: Selection) -> range:
    """Return the indexes of the rows that a selection touches."""
    first = 0 if selection.start is None else selection.start.y // LINES
    last = view.count - 1 if selection.end is None else selection.end.y // LINES
    return range(first, min(last + 1, view.count, first + MOST))


def text_at_hand(view: LineSurface[Any], selection: Selection) -> str:
    """Return the selected text, leaving out rows that are not at hand."""
    rows = ((index, view.row_at(index)) for index in rows_of(view, selection))
    return _text(view, selection, ((index, row) for index, row in rows if row is not None))


async def whole_text(view: LineSurface[Any], selection: Selection) -> str:
    """Return the selected text, fetching what is not at hand."""
    indexes = rows_of(view, selection)
    source = view.drawn_source
    rows = await source.run(lambda: source.fetch(indexes.start, len(indexes)))
    return _text(view, selection, enumerate(rows, indexes.start))


def _text(view: LineSurface[Any], selection: Selection, rows: Iterable[tuple[int, Any]]) -> str:
    pieces: list[str] = []
    look, width = view.look, view.body_width
    for index, row in rows:
        for line, content in enumerate(list(view.lines(row, look, width))[:LINES]):
            span = selection.get_span(index * LINES + line)
            if span is None:
                continue
            start, end = span
            text = content.plain
            pieces.append((text[start:] if end == -1 else text[start:end]).rstrip())
    return "\n".join(pieces)
