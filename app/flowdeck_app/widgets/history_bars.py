"""Bars of runs: a flow's last runs in one line, and runs over time with problems marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.drawing.bars import history_content
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.views.histogram import bar_row, label_row, mark_row
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import RunPoint
    from flowdeck_store.read.summaries import HistogramBucket


class HistoryBars(StripWidget):
    """The last runs of one flow, newest at the right. A click tells the run's number."""

    points: reactive[tuple[RunPoint, ...]] = reactive(())

    class Picked(Message):
        """A run was clicked."""

        def __init__(self, run_id: int) -> None:
            super().__init__()
            self.run_id = run_id

    def __init__(self, points: Sequence[RunPoint] = (), **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.set_reactive(HistoryBars.points, tuple(points))

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        content = history_content(self.points, cells, look)
        shown = self.points[-cells:]
        blank = cells - len(shown)
        pieces = [
            Piece(content.plain[blank + place], str(content.spans[place].style), point.run_id)
            for place, point in enumerate(shown)
        ]
        return [[Piece(" " * blank), *pieces]]

    def picked(self, key: Hashable) -> None:
        """Tell which run."""
        if isinstance(key, int):
            self.post_message(self.Picked(key))


class RunHistogram(StripWidget):
    """Runs over time: bars, problems, days. A click tells the time of the bar.

    Attributes:
        buckets: from ``Reader.run_histogram``; ask for :attr:`wanted` of them.
    """

    DEFAULT_CSS = """
    RunHistogram { height: 3; padding: 0 2; }
    """
    buckets: reactive[tuple[HistogramBucket, ...]] = reactive(())

    class Picked(Message):
        """A bar was clicked; ``start_us`` is the beginning of its time."""

        def __init__(self, start_us: int) -> None:
            super().__init__()
            self.start_us = start_us

    @property
    def wanted(self) -> int:
        """How many buckets fit."""
        return max(1, self.content_size.width)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return bars, problems, days."""
        shown = self.buckets[-cells:]
        return [bar_row(shown, look), mark_row(shown, look), label_row(shown, look)]

    def picked(self, key: Hashable) -> None:
        """Tell which time."""
        if isinstance(key, int):
            self.post_message(self.Picked(key))
