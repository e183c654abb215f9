"""What a line view says instead of rows, and over them: empty, loading, error, news below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean, fit, width, wrap_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.signs import Symbols
    from flowdeck_app.widgets.lines.surface import LineSurface


def state_texts(view: LineSurface[Any], cells: int) -> Sequence[tuple[str, str]]:
    """Return the lines of the empty, loading or error state, each with its style."""
    room = max(10, cells - 8)
    if view.error is not None:
        message = clean(str(view.error), 600, newline=" ")
        words = [(piece.strip(), "$fd-muted") for piece in wrap_cells(message, room)]
        return [("Cannot be read", "bold $fd-failed"), ("", ""), *words]
    if not view.loaded:
        return [(f"Loading{view.look.ellipsis}", "$fd-faint")] if view.slow else []
    title, hint = (clean(text, 300) for text in view.empty)
    hints = [(piece.strip(), "$fd-muted") for piece in wrap_cells(hint, room)] if hint else []
    return [(title, "$fd-strong"), *hints]


def state_content(view: LineSurface[Any], cells: int, height: int, y: int) -> Content | None:
    """Return line ``y`` of a view without rows, ``None`` for an empty line."""
    texts = state_texts(view, cells)
    first = max(1, (height - len(texts)) // 3)
    if not first <= y < first + len(texts):
        return None
    text, style = texts[y - first]
    left = max(0, (cells - width(text)) // 2)
    return Content.styled(fit(" " * left + text, cells, ellipsis=""), style)


def above_content(view: LineSurface[Any], signs: Symbols) -> Content | None:
    """Return what lies over the right end of the first row: how many problems are above it."""
    hidden = min(view.top, view.drawn_source.problems_first)
    if not hidden:
        return None
    count = f"{number(hidden, signs.group)} problem{'' if hidden == 1 else 's'}"
    return Content.styled(f" {signs.up} {count} above  g ", "bold $background on $fd-failed")


def overlay_content(view: LineSurface[Any], signs: Symbols) -> Content | None:
    """Return what lies over the right end of the last line, ``None`` if there is nothing."""
    if view.error is not None:
        return Content.styled(" cannot refresh ", "bold $fd-crashed")
    if view.FOLLOWS and not view.follow and view.new_below:
        lines = "line" if view.new_below == 1 else "lines"
        text = f" {signs.down} +{number(view.new_below, signs.group)} {lines}  G "
        return Content.styled(text, "bold $background on $fd-accent")
    return None
