"""A widget of one line (or few) made of pieces, some of which can be clicked."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.pieces import Piece, joined
from flowdeck_app.events.living import Living
from flowdeck_app.widgets.guard import look_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events

    from flowdeck_app.drawing.look import Look


class StripWidget(Living, Widget):
    """Base of breadcrumb, footer, chips, tabs and headers.

    Subclasses say what stands on each line (:meth:`rows`) and what a click means
    (:meth:`picked`). Texts must be drawable (:func:`flowdeck_app.drawing.cells.clean`).
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
        ellipsis = look.ellipsis
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
