"""The timeline of a run: one bar a line, zoom and pan over time, by task run, task or worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Unpack

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.signs import ACTIVE, kind_of
from flowdeck_app.views.timeline import Bar, Scale, axis_content, timeline_content
from flowdeck_app.widgets.lines.messages import Changed
from flowdeck_app.widgets.lines.view import LineView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Source

#: Greatest magnification.
_MOST: Final = 4096.0


class Timeline(LineView[Bar]):
    """Bars of :class:`~flowdeck_app.sources.TimelineSource` (or of groups, or of workers).

    Set :meth:`set_span` whenever the run's times are known anew. ``+ -`` zoom round the cursor's
    bar, ``h l`` pan, ``0`` shows everything.

    Attributes:
        zoom: 1 shows the whole run.
        offset_us: how far the left edge is from the start.
    """

    DEFAULT_CSS = """
    Timeline { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("view.more", "view.less", "view.fit")]

    def __init__(self, source: Source[Bar] | None = None, **names: Unpack[Names]) -> None:
        super().__init__(
            source, empty=("Nothing has started yet", "Bars appear with the first task"), **names
        )
        self.start_us = 0
        self.end_us: int | None = None
        self.zoom = 1.0
        self.offset_us = 0.0
        self._on_path: frozenset[int | str] = frozenset()

    def mark_path(self, keys: frozenset[int | str]) -> None:
        """Mark the bars that are on the critical path, by their keys."""
        if keys != self._on_path:
            self._on_path = keys
            self.redraw()

    def set_span(self, start_us: int, end_us: int | None) -> None:
        """Say when the run started and ended (``None``: it goes on)."""
        if (start_us, end_us) != (self.start_us, self.end_us):
            self.start_us, self.end_us = start_us, end_us
            self.redraw()

    # -- geometry --------------------------------------------------------------------------

    def _cells(self, width: int) -> tuple[int, int, int]:
        """Return the cells for names, bars and notes."""
        names = max(14, min(34, width * 22 // 100))
        notes = 22 if width >= 90 else 0
        return names, max(10, width - names - notes), notes

    def _length_us(self, look: Look) -> float:
        """Return the time from start to end, or to now with a little room."""
        if self.end_us is not None:
            return max(1000.0, float(self.end_us - self.start_us))
        return max(1000.0, (look.now_us - self.start_us) * 1.04)

    def scale(self, look: Look, width: int) -> Scale:
        """Return which time each cell of the bars stands for."""
        _, bars, _ = self._cells(width)
        per_cell = self._length_us(look) / self.zoom / bars
        return Scale(self.start_us + int(self.offset_us), max(1.0, per_cell))

    # -- drawing ---------------------------------------------------------------------------

    def lines(self, row: Bar, look: Look, width: int) -> Sequence[Content]:
        """Return the line of a bar."""
        names, bars, notes = self._cells(width)
        scale, on_path = self.scale(look, width), row.key in self._on_path
        return [timeline_content(row, look, scale, names, bars, notes, on_path=on_path)]

    def heading(self, look: Look, width: int) -> Content | None:
        """Return the axis."""
        names, bars, _ = self._cells(width)
        return axis_content(self.scale(look, width), look, names, bars, self.start_us)

    def is_live(self, row: Bar) -> bool:
        """While the run goes on the scale moves, so every bar does."""
        return self.end_us is None or kind_of(row.code, row.named) in ACTIVE

    # -- keys ------------------------------------------------------------------------------

    def _zoom_to(self, zoom: float) -> None:
        zoom = max(1.0, min(zoom, _MOST))
        look = self.look
        length = self._length_us(look)
        middle = self._centre(length)
        self.zoom = zoom
        self._pan_to(middle - length / zoom / 2)

    def _centre(self, length: float) -> float:
        """Return what stays in place: the bar under the cursor if it is in view."""
        left, visible = self.offset_us, length / self.zoom
        row = self.current
        if row is not None and row.segments:
            begin = row.segments[0].start_us - self.start_us
            end = (row.segments[-1].end_us or self.look.now_us) - self.start_us
            if end >= left and begin <= left + visible:
                return (max(begin, left) + min(end, left + visible)) / 2
        return left + visible / 2

    def _pan_to(self, offset_us: float) -> None:
        length = self._length_us(self.look)
        self.offset_us = max(0.0, min(offset_us, length - length / self.zoom))
        self.redraw()
        self.post_message(Changed(self))

    def action_view_more(self) -> None:
        """Zoom in."""
        self._zoom_to(self.zoom * 2)

    def action_view_less(self) -> None:
        """Zoom out."""
        self._zoom_to(self.zoom / 2)

    def action_view_fit(self) -> None:
        """Show the whole run."""
        self._zoom_to(1.0)

    def pan_by(self, cells: int) -> None:
        """Pan over time: an eighth of what is visible."""
        visible = self._length_us(self.look) / self.zoom
        self._pan_to(self.offset_us + (visible / 8 if cells > 0 else -visible / 8))
