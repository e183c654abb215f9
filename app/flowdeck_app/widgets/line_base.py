"""The ground of a line view: what a row looks like, what is asked of it, how it is drawn.

:class:`LineBase`, :class:`~flowdeck_app.widgets.line_rows.LineRows` (loading) and
:class:`~flowdeck_app.widgets.line_view.LineView` (keys and mouse) are one widget in three layers;
only the last is meant to be used.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, Unpack

from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView

from flowdeck_app.widgets.guard import Names, look_of
from flowdeck_app.widgets.line_data import LineData
from flowdeck_app.widgets.line_draw import Drawing
from flowdeck_app.widgets.source import Key, MemorySource, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.strip import Strip

    from flowdeck_app.views.look import Look

R = TypeVar("R")


class LineBase(ScrollView, Generic[R]):
    """A windowed list over a source, without loading and without keys.

    Attributes:
        empty: what is shown without rows: a title and a line that says what would be here.
        wrapped: rows may take several lines (:meth:`lines` returns them).
        follow: stay at the end while rows arrive.
        monotonic: the clock of the freeze, in seconds; tests replace it.
    """

    #: Whether rows say how long ago something was.
    AGES: ClassVar[bool] = False
    #: Whether there is a follow mode (logs).
    FOLLOWS: ClassVar[bool] = False

    def __init__(
        self,
        source: Source[R] | None = None,
        *,
        empty: tuple[str, str] = ("Nothing here", ""),
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self._data: LineData[R] = LineData(source if source is not None else MemorySource())
        self._next: LineData[R] | None = None
        self.empty = empty
        self.wrapped = False
        self.follow = self.FOLLOWS
        self.monotonic: Callable[[], float] = time.monotonic
        self.cursor = 0
        self.marks: set[Key] = set()
        self.pan = 0
        self.searched = ""
        self.new_below = 0  # rows that came below the window since follow was left
        self.error: Exception | None = None
        self._drawing: Drawing[R] = Drawing(self)
        self._cursor_key: Key | None = None
        self.slow = False  # the first answer takes long enough to say so

    # -- what subclasses say ---------------------------------------------------------------

    def lines(self, row: R, look: Look, width: int) -> Sequence[Content]:
        """Return the row as one line, or as several while :attr:`wrapped`.

        Args:
            row: the record.
            look: clock, signs and time mode.
            width: cells there are; a longer line is cut, or panned.
        """
        return [Content(str(row))]

    def heading(self, look: Look, width: int) -> Content | None:
        """Return the fixed first line, ``None`` without one."""
        return None

    def text_of(self, row: R) -> str:
        """Return the row as it is copied; the default is what is drawn."""
        width = self.body_width
        return "\n".join(line.plain.rstrip() for line in self.lines(row, self.look, width))

    def is_live(self, row: R) -> bool:
        """Say whether the row looks different with every second (a growing duration)."""
        return False

    def heading_clicked(self, x: int) -> None:
        """Handle a click on the heading, ``x`` cells from the body's left edge."""

    def want(self, first: int, last: int) -> None:
        """Hear while drawing which rows are visible."""

    # -- what users of the widget ask ------------------------------------------------------

    @property
    def source(self) -> Source[R]:
        """What is to be shown (see :meth:`show`); its rows may still be on their way."""
        return (self._next or self._data).source

    @property
    def drawn_source(self) -> Source[R]:
        """Where the drawn rows come from."""
        return self._data.source

    def key_of(self, row: R) -> Key:
        """Return the key of a row that is drawn."""
        return self._data.source.key(row)

    @property
    def count(self) -> int:
        """How many rows there are, as of the last load."""
        return self._data.count

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at least once."""
        return self._next is None and self._data.loaded

    @property
    def current(self) -> R | None:
        """The row under the cursor, if it is at hand."""
        return self._data.row(self.cursor)

    @property
    def current_key(self) -> Key | None:
        """The key that the cursor is bound to."""
        return self._cursor_key

    @property
    def look(self) -> Look:
        """Clock, signs and time mode of the app."""
        return look_of(self.app)

    @property
    def line_width(self) -> int:
        """Cells of a line: all but the column that is kept for the scrollbar."""
        return max(1, self.size.width - 1)

    @property
    def body_width(self) -> int:
        """Cells for a row: without cursor bar, mark, right edge and scrollbar."""
        return max(1, self.size.width - 4)

    @property
    def body_height(self) -> int:
        """Lines for rows: without the heading."""
        return max(1, self.size.height - self._drawing.heading_height)

    @property
    def top(self) -> int:
        """Index of the first visible row."""
        return int(self.scroll_offset.y)

    def row_at(self, index: int) -> R | None:
        """Return a row that is at hand."""
        return self._data.row(index)

    def redraw(self) -> None:
        """Draw every row afresh: look, columns, wrap or search changed."""
        self._drawing.clear()
        self._fit_height()
        self.refresh()

    # -- geometry --------------------------------------------------------------------------

    def _fit_height(self) -> None:
        height = self._drawing.virtual_height()
        size = Size(max(1, self.size.width), height)
        if size != self.virtual_size:
            self.virtual_size = size

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, top), animate=False, force=True)

    def _to_end(self) -> None:
        self.cursor = max(0, self.count - 1)
        self._cursor_key = self._data.key_at(self.cursor)
        self._scroll(self._drawing.last_top())

    def _show_cursor(self) -> None:
        top = self._drawing.top_showing(self.cursor)
        if top != self.top:
            self._scroll(top)

    # -- drawing ---------------------------------------------------------------------------

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw; lines drawn here carry no text offsets (only hit tests need them)."""
        self._drawing.begin()
        try:
            return super().render_lines(crop)
        finally:
            self._drawing.end()

    def render_line(self, y: int) -> Strip:
        """Return line ``y`` of the widget."""
        return self._drawing.line(y)
