"""The levels of a log over time, above its lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual.message import Message

from flowdeck_app.views.log.levels import LevelBins, level_rows
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.pieces import Piece
    from flowdeck_app.widgets.guard import Names


class LogLevels(StripWidget):
    """Bars of :class:`~flowdeck_app.views.log.levels.LevelBins`; a click tells the first line of one.

    It is one line high where there is little room, else two, and not there without lines.
    """

    DEFAULT_CSS = """
    LogLevels { height: 2; padding: 0 2; display: none; }
    LogLevels.-some { display: block; }
    """

    class Picked(Message):
        """A bar was clicked; ``seq`` is the number of its first line."""

        def __init__(self, seq: int) -> None:
            super().__init__()
            self.seq = seq

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._bins = LevelBins(0)
        self._at_us: int | None = None

    def show_bins(self, bins: LevelBins) -> None:
        """Draw what is counted now."""
        self._bins = bins
        self.set_class(any(bins.totals), "-some")
        self.refresh()

    def show_place(self, at_us: int | None) -> None:
        """Mark the time of a line; ``None``: of none."""
        if at_us != self._at_us:
            self._at_us = at_us
            self.refresh()

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the lines of bars."""
        low = self.size.height < 2
        return level_rows(self._bins, look, cells, low=low, at_us=self._at_us)

    def picked(self, key: Hashable) -> None:
        """Tell the first line of the bar."""
        if isinstance(key, int):
            self.post_message(self.Picked(key))
