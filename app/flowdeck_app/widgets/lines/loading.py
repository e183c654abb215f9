"""How a line view loads: other sources, news, windows that are scrolled to, the freeze.

Nothing on the event loop waits for the source: all asking is done in workers of the view, and what
comes back is put into force in one step.

- News comes in bursts, and asking costs. So the source is asked once at a time; what is wanted
  meanwhile is one more question after a rest of four times what the last one took.
- A row that slips away under the cursor is a row that the next key misses. For :data:`FREEZE` seconds
  after a movement rows keep their places; only what they say is brought up to date.
- The rows of another source (a filter, another run) take the place of the present ones when they are
  there, so that nothing flickers while a filter is typed. Where that takes longer than :data:`SLOW`
  the view says that it loads.
- The cursor may be moved while the source answers. The source is then asked where the cursor's new
  row is, too; else the cursor would jump back.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from flowdeck_app.widgets.lines.data import LineData, ShownRows
from flowdeck_app.widgets.lines.messages import Failed

if TYPE_CHECKING:
    from textual.worker import Worker

    from flowdeck_app.widgets.lines.cursor import LineCursor
    from flowdeck_app.widgets.lines.data import RowsSnapshot
    from flowdeck_app.widgets.lines.draw import Drawing
    from flowdeck_app.widgets.lines.source import Key, Source
    from flowdeck_app.widgets.lines.surface import LineSurface

R = TypeVar("R")

#: Seconds after a movement in which rows keep their places.
FREEZE: Final = 2.0
#: Seconds between two loads while news keeps coming.
REST: Final = 0.1
#: Seconds between two looks at the clock of rows that say how long ago something was.
AGE: Final = 10
#: Seconds until a view says that it is loading.
SLOW: Final = 0.3


class LineLoader(Generic[R]):
    """Keeps the visible rows those of the source.

    Attributes:
        data: the rows that are drawn.
    """

    def __init__(
        self,
        view: LineSurface[R],
        source: Source[R],
        cursor: LineCursor[R],
        drawing: Drawing[R],
    ) -> None:
        self._view, self._cursor, self._drawing = view, cursor, drawing
        self.data: LineData[R] = LineData(source)
        self._next: LineData[R] | None = None
        self._at_top = False
        self._reveal = False  # the next rows are to be scrolled to the cursor
        self._worker: Worker[None] | None = None
        self._again = False
        self._hurry = asyncio.Event()
        self._wanted: set[int] = set()
        self._thaw_set = False

    @property
    def source(self) -> Source[R]:
        """What is to be shown; its rows may still be on their way."""
        return (self._next or self.data).source

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at least once."""
        return self._next is None and self.data.loaded

    @property
    def busy(self) -> bool:
        """Whether the source is being asked."""
        return self._worker is not None

    def show(self, source: Source[R], key: Key | None, top: bool) -> None:
        """Show another source; the present rows stay until its rows are there."""
        self._next = LineData(source)
        if key is not None:
            self._cursor.bind(key)
        elif top:
            self._at_top = True
        self._cursor.release()
        self._hurry.set()
        self.reload()
        if self._view.is_attached:
            self._view.set_timer(SLOW, self.check_slow)

    def reload(self) -> None:
        """Ask the source anew, soon and off the event loop; bursts are joined."""
        view = self._view
        self._again = True
        if view.is_attached and view.size.width and self._worker is None:
            self._worker = view.run_worker(self._keep_loading(), group="lines", exit_on_error=False)

    def fit_window(self) -> None:
        """Read what a window of another size shows, or keep the cursor in it."""
        if not self.data.loaded or self._again:
            self.reload()
        elif self._view.follow:
            self._cursor.go_to_end()
        else:
            self._cursor.reveal()

    def check_slow(self) -> None:
        """Say that rows are loaded, where they are not there by now."""
        if not self.loaded:
            self._switch()
            self._view.slow = True
            self._view.fit_height()
            self._view.refresh()

    async def go_to_key(self, key: Key) -> bool:
        """Put the cursor on the row of a key; ``False`` if it is not among the rows."""
        source, cursor = self.source, self._cursor
        index = await source.run(lambda: source.index_of(key))
        if index is None:
            return False
        at_hand = self.data.key_at(index)
        if source is not self.data.source:
            cursor.bind(key)
        elif at_hand == key or (at_hand is None and not self.busy):
            cursor.move_to(index)
        else:  # the source knows a newer order than the one drawn, which is on its way
            cursor.bind(key)
            cursor.release()
            self._reveal = True
            self.reload()
        return True

    def _switch(self) -> None:
        """Let the rows of the next source take the place of the present ones."""
        if self._next is None:
            return
        view = self._view
        self.data, self._next = self._next, None
        self._wanted.clear()
        view.error = None
        view.new_below = 0
        if self._at_top:
            self._at_top = False
            self._cursor.reset()
            view.follow = view.FOLLOWS
            view.scroll_to_row(0)
        self._drawing.clear()
        view.refresh()

    # -- asking ----------------------------------------------------------------------------

    async def _keep_loading(self) -> None:
        """Reload until nothing new was asked for; rests in proportion to what a look costs."""
        try:
            while self._again:
                self._again = False
                seconds = await self._load_once()
                if self._again and self._next is None:
                    await self._rest(max(REST, 4 * seconds))
        finally:
            self._worker = None

    async def _rest(self, seconds: float) -> None:
        """Wait, unless another source is to be shown."""
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _load_once(self) -> float:
        data, view, cursor = self._next or self.data, self._view, self._cursor
        try:
            if self._frozen and data.loaded and not data.source.stable:
                await data.refresh_rows(view.top, view.top + view.body_height)
                self._thaw_later()
                self._view.rows_came()
                return 0.0
            shown = self._shown()
            snapshot = await data.snapshot(shown)
            if data is self.data:
                snapshot = await self._with_cursor(snapshot, shown)
        except Exception as error:  # whatever a source raises is shown, never fatal
            if data is self._next:
                self._switch()
            self._fail(error)
            return 1.0
        if data is self._next:
            self._switch()
            if snapshot.cursor is None and not view.follow and (cursor.held or snapshot.top):
                cursor.reset()  # its row is not here
                snapshot = await data.snapshot(self._shown_at_top())
        if data is self.data and data.accept(snapshot):
            self._apply(snapshot)
            if self._reveal:
                self._reveal = False
                cursor.reveal()
        else:
            self._again = True
        return snapshot.seconds

    async def _with_cursor(self, snapshot: RowsSnapshot[R], shown: ShownRows) -> RowsSnapshot[R]:
        """Let the cursor that was moved while the source answered stay with its new row."""
        source, key = self.data.source, shown.cursor_key
        while self._cursor.bound_key != key:
            key = self._cursor.bound_key
            self._reveal = True
            place = None
            if key is not None:
                place = await source.run(functools.partial(source.index_of, key))
            snapshot = dataclasses.replace(snapshot, cursor=place)
        return snapshot

    @property
    def _frozen(self) -> bool:
        return self._view.monotonic() - self._cursor.moved_at < FREEZE

    def _thaw_later(self) -> None:
        if not self._thaw_set:
            self._thaw_set = True
            self._view.set_timer(FREEZE, self._thaw)

    def _thaw(self) -> None:
        self._thaw_set = False
        self.reload()

    def _shown_at_top(self) -> ShownRows:
        return ShownRows(0, self._view.body_height, 0, None, 0, None, self._view.FOLLOWS)

    def _shown(self) -> ShownRows:
        if self._at_top:
            return self._shown_at_top()
        view, cursor = self._view, self._cursor
        anchor, anchor_key = cursor.index, cursor.bound_key
        top, body = view.top, view.body_height
        if self.data.loaded and not top <= anchor < top + body:
            anchor, anchor_key = top, self.data.key_at(top)
        return ShownRows(top, body, cursor.index, cursor.bound_key, anchor, anchor_key, view.follow)

    # -- what came -------------------------------------------------------------------------

    def _apply(self, snapshot: RowsSnapshot[R]) -> None:
        view = self._view
        view.error = None
        before = view.virtual_size.height
        view.fit_height()
        if view.follow:
            self._cursor.go_to_end()
        else:
            grown = view.virtual_size.height - before
            if view.FOLLOWS and before and grown > 0:
                view.new_below += grown
            view.scroll_to_row(snapshot.top)
        self._cursor.follow_row(snapshot.cursor)
        self._view.rows_came()

    def _fail(self, error: Exception) -> None:
        self._view.error = error
        self._view.refresh()
        self._view.post_message(Failed(self._view, error))

    # -- windows that are scrolled to ------------------------------------------------------

    def want_rows(self, first: int, last: int) -> None:
        """Fetch the pages of rows that are drawn but not at hand (called while drawing)."""
        missing = self.data.pages.missing(first, last, self.data.count)
        new = [number for number in missing if number not in self._wanted]
        if new and self.data.loaded:
            self._wanted.update(new)
            self._view.call_later(self._fetch_wanted)

    def _fetch_wanted(self) -> None:
        numbers = sorted(self._wanted - self.data.pages.in_flight)
        if numbers:
            self.data.pages.in_flight.update(numbers)
            self._view.run_worker(self._load_pages(numbers), group="pages", exit_on_error=False)

    async def _load_pages(self, numbers: list[int]) -> None:
        data = self.data
        try:
            fresh = await data.load(numbers)
        except Exception as error:  # as in _load_once
            self._fail(error)
            return
        finally:
            self._wanted.difference_update(numbers)
        if fresh and data is self.data:
            self._view.rows_came()
            self._cursor.tell_row()
        else:
            self._view.refresh()  # the order changed meanwhile: what still lacks is asked for anew
