"""How a line view loads: other sources, news, windows that are scrolled to, the freeze."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from typing import TYPE_CHECKING, Final, TypeVar, Unpack

from flowdeck_app.widgets.line_base import LineBase
from flowdeck_app.widgets.line_data import Ask, LineData, Snapshot
from flowdeck_app.widgets.line_messages import Changed, Failed, Highlighted

if TYPE_CHECKING:
    from textual import events
    from textual.worker import Worker

    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.source import Key, Source

R = TypeVar("R")

#: Seconds after a movement in which rows keep their places.
FREEZE: Final = 2.0
#: Seconds between two loads while news keeps coming.
REST: Final = 0.1
#: Seconds between two looks at the clock of rows that say how long ago something was.
AGE: Final = 10
#: Seconds until a view says that it is loading.
SLOW: Final = 0.3


class LineRows(LineBase[R]):
    """The middle layer of a line view: keeps the visible rows those of the source."""

    def __init__(
        self,
        source: Source[R] | None = None,
        *,
        empty: tuple[str, str] = ("Nothing here", ""),
        **names: Unpack[Names],
    ) -> None:
        super().__init__(source, empty=empty, **names)
        self._at_top = False
        self._reveal = False  # the next rows are to be scrolled to the cursor
        self._moved_at = float("-inf")
        self._reloading: Worker[None] | None = None
        self._again = False
        self._hurry = asyncio.Event()
        self._wanted: set[int] = set()
        self._thaw_set = False
        self._ticks = 0

    def show(self, source: Source[R], *, key: Key | None = None, top: bool = False) -> None:
        """Show another source (another run, another filter).

        The present rows stay until the new ones are there, or until that takes long.

        Args:
            source: the new rows.
            key: the row to put the cursor on; without it the present one, if it is there too.
            top: begin at the first row (logs: at the end, following), for another subject.
        """
        self._next = LineData(source)
        if key is not None:
            self._cursor_key = key
        elif top:
            self._at_top = True
        self._moved_at = float("-inf")
        self._hurry.set()
        self.reload()
        if self.is_attached:
            self.set_timer(SLOW, self._is_slow)

    def _switch(self) -> None:
        """Let the rows of the next source take the place of the present ones."""
        if self._next is None:
            return
        self._data, self._next = self._next, None
        self._wanted.clear()
        self.error = None
        self.new_below = 0
        if self._at_top:
            self._at_top = False
            self.cursor, self._cursor_key = 0, None
            self.follow = self.FOLLOWS
            self._scroll(0)
        self._drawing.clear()
        self.refresh()

    def reload(self) -> None:
        """Ask the source anew, soon and off the event loop; bursts are joined."""
        self._again = True
        if self.is_attached and self.size.width and self._reloading is None:
            self._reloading = self.run_worker(
                self._keep_loading(), group="lines", exit_on_error=False
            )

    # -- loading ---------------------------------------------------------------------------

    async def _keep_loading(self) -> None:
        """Reload until nothing new was asked for; rests in proportion to what a look costs."""
        try:
            while self._again:
                self._again = False
                seconds = await self._load_once()
                if self._again and self._next is None:
                    await self._rest(max(REST, 4 * seconds))
        finally:
            self._reloading = None

    async def _rest(self, seconds: float) -> None:
        """Wait, unless another source is to be shown."""
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)

    async def _load_once(self) -> float:
        data = self._next or self._data
        try:
            if self._frozen and data.loaded and not data.source.stable:
                await data.refresh_rows(self.top, self.top + self.body_height)
                self._thaw_later()
                self._rows_came()
                return 0.0
            ask = self._ask()
            snapshot = await data.snapshot(ask)
            if data is self._data:
                snapshot = await self._with_cursor(snapshot, ask)
        except Exception as error:  # whatever a source raises is shown, never fatal
            if data is self._next:
                self._switch()
            self._failed(error)
            return 1.0
        if data is self._next:
            self._switch()
            if snapshot.cursor is None and not self.follow:  # its row is not among these
                self.cursor, self._cursor_key = 0, None
                snapshot = await data.snapshot(self._ask_top())
        if data is self._data and data.take(snapshot):
            self._apply(snapshot)
            if self._reveal:
                self._reveal = False
                self._show_cursor()
        else:
            self._again = True
        return snapshot.seconds

    async def _with_cursor(self, snapshot: Snapshot[R], ask: Ask) -> Snapshot[R]:
        """Let the cursor that was moved while the source answered stay with its new row."""
        source, key = self._data.source, ask.cursor_key
        while self._cursor_key != key:
            key = self._cursor_key
            self._reveal = True
            place = None
            if key is not None:
                place = await source.run(functools.partial(source.index_of, key))
            snapshot = dataclasses.replace(snapshot, cursor=place)
        return snapshot

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

    def _ask_top(self) -> Ask:
        return Ask(0, self.body_height, 0, None, 0, None, self.FOLLOWS)

    def _ask(self) -> Ask:
        if self._at_top:
            return self._ask_top()
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
        numbers = sorted(self._wanted - self._data.pages.in_flight)
        if numbers:
            self._data.pages.in_flight.update(numbers)
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
            self._rows_came()
            self._tell_cursor()
        else:
            self.refresh()  # the order changed meanwhile: what is still missing is asked for anew

    def on_mount(self) -> None:
        """Start the one-second tick of growing durations."""
        self.set_interval(1.0, self._tick)
        self.set_timer(SLOW, self._is_slow)

    def _is_slow(self) -> None:
        if not self.loaded:
            self._switch()
            self.slow = True
            self._fit_height()
            self.refresh()

    def _tick(self) -> None:
        if not self.screen.is_current:
            return
        self._ticks += 1
        if self.AGES and self._ticks % AGE == 0:
            self.redraw()
        elif self._drawing.expire_live():
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

    def _tell_cursor(self) -> None:
        row = self.current
        if row is not None and self._cursor_key is None:
            self._cursor_key = self.key_of(row)
        told = (self._cursor_key, id(row))
        if told != self._drawing.told:
            self._drawing.told = told
            self.post_message(Highlighted(self, self._cursor_key, row))
