"""A widget of one line (or few) made of pieces, some of which can be clicked."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content, Span
from textual.widget import Widget

from flowdeck_app.views.text import cut, width
from flowdeck_app.widgets.guard import look_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events

    from flowdeck_app.views.look import Look


@dataclass(frozen=True, slots=True)
class Piece:
    """A drawable text, its style, and what a click on it means (``None``: nothing)."""

    text: str
    style: str = ""
    key: Hashable | None = None


def joined(pieces: Sequence[Piece], cells: int, ellipsis: str = "…") -> Content:
    """Return pieces as one line of at most ``cells`` cells."""
    texts: list[str] = []
    spans: list[Span] = []
    position = used = 0
    for piece in pieces:
        room = cells - used
        if room <= 0:
            break
        text = cut(piece.text, room, ellipsis=ellipsis)
        texts.append(text)
        if piece.style:
            spans.append(Span(position, position + len(text), piece.style))
        position += len(text)
        used += width(text)
    return Content("".join(texts), spans, strip_control_codes=False)


def spread(
    left: Sequence[Piece], right: Sequence[Piece], cells: int, ellipsis: str = "…"
) -> list[Piece]:
    """Return pieces with the right ones at the right edge; the left ones give way."""
    taken = sum(width(piece.text) for piece in right)
    room = max(0, cells - taken - (1 if right else 0))
    kept: list[Piece] = []
    used = 0
    for piece in left:
        text = cut(piece.text, room - used, ellipsis=ellipsis)
        if text:
            kept.append(Piece(text, piece.style, piece.key))
        used += width(text)
        if used >= room:
            break
    return [*kept, Piece(" " * max(0, cells - used - taken)), *right]


class StripWidget(Widget):
    """Base of breadcrumb, footer, chips, tabs and headers.

    Subclasses say what stands on each line (:meth:`rows`) and what a click means
    (:meth:`picked`). Texts must be drawable (:func:`flowdeck_app.views.text.clean`).
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    StripWidget {
        height: 1; width: 1fr; background: $background; text-wrap: nowrap; text-overflow: clip;
    }
    """

    @property
    def look(self) -> Look:
        """Clock, signs and time mode of the app."""
        return look_of(self.app)

    @abstractmethod
    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the pieces of each line for a width of ``cells``."""

    def picked(self, key: Hashable) -> None:
        """Handle a click on a piece with a key."""

    def render(self) -> Content:
        """Draw the lines."""
        look, cells = self.look, self.size.width
        ellipsis = look.symbols.ellipsis
        lines = [joined(row, cells, ellipsis) for row in self.rows(look, cells)]
        return Content("\n").join(lines)

    def on_click(self, event: events.Click) -> None:
        """Find the clicked piece."""
        lines = self.rows(self.look, self.size.width)
        place = event.get_content_offset(self)
        if place is None or place.y >= len(lines):
            return
        position = 0
        for piece in lines[place.y]:
            position += width(piece.text)
            if place.x < position:
                if piece.key is not None:
                    event.stop()
                    self.picked(piece.key)
                return
