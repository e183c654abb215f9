"""The rows of a line view: what it shows, how it loads and scrolls, without any keys.

:class:`LineRows` is the lower half of :class:`~flowdeck_app.widgets.line_view.LineView`; only that
one is meant to be used.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar, Unpack

from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView

from flowdeck_app.widgets.guard import Names, look_of
from flowdeck_app.widgets.line_data import Ask, LineData, Snapshot
from flowdeck_app.widgets.line_draw import Drawing
from flowdeck_app.widgets.line_messages import Changed, Failed, Highlighted
from flowdeck_app.widgets.source import Key, MemorySource, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.strip import Strip
    from textual.worker import Worker

    from flowdeck_app.views.look import Look

R = TypeVar("R")

#: Seconds after a movement in which rows keep their places.
FREEZE: Final = 2.0
#: Seconds between two loads while news keeps coming.
REST: Final = 0.1


class LineRows(ScrollView, Generic[R]):
    """A windowed list over a source: rows, loading, scrolling, drawing.

    Attributes:
        empty: what is shown without rows: a title and a line that says what would be here.
        wrapped: rows may take several lines (:meth:`lines` returns them).
        follow: stay at the end while rows arrive.
        monotonic: the clock of the freeze, in seconds; tests replace it.
    """

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
        self._moved_at = float("-inf")
        self._reloading: Worker[None] | None = None
        self._again = False
        self._wanted: set[int] = set()
        self._thaw_set = False
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

    # -- what users of the widget ask ------------------------------------------------------

    @property
    def source(self) -> Source[R]:
        """What is shown; see :meth:`show`."""
        return self._data.source

    @property
    def count(self) -> int:
        """How many rows there are, as of the last load."""
        return self._data.count

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at least once."""
        return self._data.loaded

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

    def show(self, source: Source[R], *, key: Key | None = None) -> None:
        """Show another source (another run, another filter).

        Args:
            source: the new rows.
            key: the row to put the cursor on; without it the present one, if it is there too.
        """
        data: LineData[R] = LineData(source)
        data.epoch = self._data.epoch + 1
        self._data = data
        self._cursor_key = key if key is not None else self._cursor_key
        self._wanted.clear()
        self.error = None
        self.new_below = 0
        self.redraw()
        self.reload()

    def reload(self) -> None:
        """Ask the source anew, soon and off the event loop; bursts are joined."""
        self._again = True
        if self.is_attached and self.size.width and self._reloading is None:
            self._reloading = self.run_worker(
                self._keep_loading(), group="lines", exit_on_error=False
            )

    def redraw(self) -> None:
        """Draw every row afresh: look, columns, wrap or search changed."""
        self._drawing.clear()
        self._fit_height()
        self.refresh()

    # -- loading ---------------------------------------------------------------------------

    async def _keep_loading(self) -> None:
        """Reload until nothing new was asked for; rests in proportion to what a look costs."""
        try:
            while self._again:
                self._again = False
                seconds = await self._load_once()
                if self._again:
                    await asyncio.sleep(max(REST, 4 * seconds))
        finally:
            self._reloading = None

    async def _load_once(self) -> float:
        data = self._data
        try:
            if self._frozen and data.loaded and not data.source.stable:
                await data.refresh_rows(self.top, self.top + self.body_height)
                self._thaw_later()
                self._rows_came()
                return 0.0
            snapshot = await data.snapshot(self._ask())
        except Exception as error:  # whatever a source raises is shown, never fatal
            self._failed(error)
            return 1.0
        if data is self._data and data.take(snapshot):
            self._apply(snapshot)
        else:
            self._again = True
        return snapshot.seconds

    @property
    def _frozen(self) -> bool:
        return self.monotonic() - self._moved_at < FREEZE

    def _thaw_later(self) -> None:
        if not self._thaw_set:
            self._thaw_set = True
            self.set_timer(FREEZE, self._thaw)

    def _thaw(self) -> None:
        self._thaw_set = False
        self.reload()

    def _ask(self) -> Ask:
        anchor = self.cursor
        top, body = self.top, self.body_height
        anchor_key = self._cursor_key
        if self._data.loaded and not top <= anchor < top + body:
            anchor, anchor_key = top, self._data.key_at(top)
        return Ask(top, body, self.cursor, self._cursor_key, anchor, anchor_key, self.follow)

    def _apply(self, snapshot: Snapshot[R]) -> None:
        self.error = None
        before = self.virtual_size.height
        self._fit_height()
        if self.follow:
            self._to_end()
        else:
            grown = self.virtual_size.height - before
            if self.FOLLOWS and before and grown > 0:
                self.new_below += grown
            self._scroll(snapshot.top)
        self._bind_cursor(snapshot)
        self._rows_came()

    def _bind_cursor(self, snapshot: Snapshot[R]) -> None:
        last = max(0, snapshot.count - 1)
        place = snapshot.cursor if snapshot.cursor is not None else min(self.cursor, last)
        if self.follow:
            place = last
        moved = place != self.cursor
        self.cursor = place
        key = self._data.key_at(place)
        if key is not None or snapshot.count == 0:
            moved = moved or key != self._cursor_key
            self._cursor_key = key
        if moved:
            self._drawing.clear()
        self._tell_cursor()

    def _rows_came(self) -> None:
        self._fit_height()
        self._drawing.repaint_changed()
        self.post_message(Changed(self))

    def _failed(self, error: Exception) -> None:
        self.error = error
        self.refresh()
        self.post_message(Failed(self, error))

    def want(self, first: int, last: int) -> None:
        """Fetch the pages of rows that are drawn but not at hand (called while drawing)."""
        missing = self._data.pages.missing(first, last, self.count)
        new = [number for number in missing if number not in self._wanted]
        if new and self._data.loaded:
            self._wanted.update(new)
            self.call_later(self._fetch_wanted)

    def _fetch_wanted(self) -> None:
        numbers = sorted(self._wanted)
        if numbers:
            self.run_worker(self._load_pages(numbers), group="pages", exit_on_error=False)

    async def _load_pages(self, numbers: list[int]) -> None:
        data = self._data
        try:
            fresh = await data.load(numbers)
        except Exception as error:  # as in _load_once
            self._failed(error)
            return
        finally:
            self._wanted.difference_update(numbers)
        if fresh and data is self._data:
            if self._cursor_key is None or not self._data.loaded:
                self._cursor_key = data.key_at(self.cursor)
            self._rows_came()
            self._tell_cursor()

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

    def on_mount(self) -> None:
        """Start the one-second tick of growing durations."""
        self.set_interval(1.0, self._tick)
        self.set_timer(0.3, self._is_slow)

    def _is_slow(self) -> None:
        if not self._data.loaded:
            self.slow = True
            self.refresh()

    def _tick(self) -> None:
        if self.screen.is_current and self._drawing.expire_live():
            self._drawing.repaint_changed()

    def on_resize(self, event: events.Resize) -> None:
        """Fit rows and scroll position to the new size."""
        self.redraw()
        if not self._data.loaded or self._again:
            self.reload()
        elif self.follow:
            self._to_end()
        else:
            self._show_cursor()

    def _show_cursor(self) -> None:
        top = self._drawing.top_showing(self.cursor)
        if top != self.top:
            self._scroll(top)

    def _tell_cursor(self) -> None:
        row = self.current
        if row is not None and self._cursor_key is None:
            self._cursor_key = self.source.key(row)
        told = (self._cursor_key, id(row))
        if told != self._drawing.told:
            self._drawing.told = told
            self.post_message(Highlighted(self, self._cursor_key, row))

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
