"""The rows behind a line view: what is asked of the source, away from the event loop.

Pure of widgets, so it is tested without an app. A view asks for a :class:`RowsSnapshot` (fresh order,
fresh window) or for single pages; both answers carry the epoch they were asked in, and an answer
to an older epoch is dropped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from flowdeck_app.widgets.lines.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowdeck_app.widgets.lines.source import Key, Source

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ShownRows:
    """What a view shows while it asks for news, so that the answer can keep it in place.

    Attributes:
        top: index of the first visible row.
        body: number of visible rows.
        cursor: index of the cursor; ``cursor_key`` its row.
        anchor: index of the row that should stay where it is on the screen.
        follow: the end should be visible.
    """

    top: int
    body: int
    cursor: int
    cursor_key: Key | None
    anchor: int
    anchor_key: Key | None
    follow: bool


@dataclass(frozen=True, slots=True)
class RowsSnapshot(Generic[R]):
    """The answer: how many rows there are now, where things went, and the visible rows."""

    epoch: int
    count: int
    top: int
    cursor: int | None
    pages: dict[int, Sequence[R]]
    seconds: float


def top_after(shown: ShownRows, count: int, anchor_now: int | None) -> int:
    """Return the first visible row after rows came or went.

    The anchor keeps its place on the screen. A view that stands at its very top stays there as
    long as the anchor remains visible, so that news at the top is seen.
    """
    last_top = max(0, count - shown.body)
    if shown.follow:
        return last_top
    if anchor_now is None:
        return min(shown.top, last_top)
    if shown.top == 0 and anchor_now < shown.body:
        return 0
    return max(0, min(anchor_now - (shown.anchor - shown.top), last_top))


class LineData(Generic[R]):
    """A source, the pages at hand, and the number of rows as of the last snapshot."""

    def __init__(self, source: Source[R], clock: Callable[[], float] = time.perf_counter) -> None:
        self.source = source
        self.pages: Pages[R] = Pages()
        self.count = 0
        self.epoch = 0
        self.loaded = False
        self._clock = clock

    def row(self, index: int) -> R | None:
        """Return a row that is at hand."""
        return self.pages.row(index) if 0 <= index < self.count else None

    def key_at(self, index: int) -> Key | None:
        """Return the key of a row that is at hand."""
        row = self.row(index)
        return None if row is None else self.source.key(row)

    async def snapshot(self, shown: ShownRows) -> RowsSnapshot[R]:
        """ShownRows the source anew; :meth:`accept` puts the answer into force."""
        self.epoch += 1
        epoch = self.epoch
        have = self._fresh_below() if self.source.stable else 0
        return await self.source.run(lambda: self._read_rows(shown, epoch, have))

    def _fresh_below(self) -> int:
        """Return the row index below which an append-only source's pages remain valid."""
        return self.count - self.count % self.pages.size

    def _read_rows(self, shown: ShownRows, epoch: int, have: int) -> RowsSnapshot[R]:
        began = self._clock()
        source = self.source
        source.renew()
        count = source.count()
        cursor = None if shown.cursor_key is None else source.index_of(shown.cursor_key)
        anchor = cursor
        if shown.anchor_key != shown.cursor_key:
            anchor = None if shown.anchor_key is None else source.index_of(shown.anchor_key)
        top = top_after(shown, count, anchor)
        numbers = self._numbers(top, shown.body, count, have)
        pages = self._fetch(numbers)
        return RowsSnapshot(epoch, count, top, cursor, pages, self._clock() - began)

    def _numbers(self, top: int, body: int, count: int, have: int) -> list[int]:
        size = self.pages.size
        first, last = top // size, max(0, min(top + body, count - 1)) // size
        if not count:
            return []
        return [
            number
            for number in range(first, last + 1)
            if (number + 1) * size > have or self.pages.row(number * size) is None
        ]

    def _fetch(self, numbers: Iterable[int]) -> dict[int, Sequence[R]]:
        """Fetch pages; neighbours in one call."""
        size = self.pages.size
        found: dict[int, Sequence[R]] = {}
        for first, last in _runs(numbers):
            rows = self.source.fetch(first * size, (last - first + 1) * size)
            for number in range(first, last + 1):
                begin = (number - first) * size
                found[number] = rows[begin : begin + size]
        return found

    def accept(self, snapshot: RowsSnapshot[R]) -> bool:
        """Put a snapshot into force; ``False`` if a newer one was asked for meanwhile."""
        if snapshot.epoch != self.epoch:
            return False
        keep = self._fresh_below() if self.source.stable and snapshot.count >= self.count else 0
        self.count = snapshot.count
        self.loaded = True
        self.pages.expire(keep_below=keep)
        self.pages.drop_from(self.count)
        self._keep_pages(snapshot.pages)
        return True

    def _keep_pages(self, pages: dict[int, Sequence[R]]) -> None:
        for number, rows in pages.items():
            self.pages.keep(number, rows)

    async def load(self, numbers: Sequence[int]) -> bool:
        """Fetch pages that were scrolled to; ``False`` if the order changed meanwhile."""
        epoch = self.epoch
        self.pages.in_flight.update(numbers)
        try:
            pages = await self.source.run(lambda: self._fetch(numbers))
        finally:
            self.pages.in_flight.difference_update(numbers)
        if epoch != self.epoch:
            return False
        self._keep_pages(pages)
        return True

    async def refresh_rows(self, first: int, last: int) -> None:
        """Bring the visible rows up to date without moving any."""
        present = [(i, row) for i in range(first, last + 1) if (row := self.row(i)) is not None]
        rows = [row for _, row in present]
        epoch = self.epoch
        source = self.source
        now = await source.run(lambda: source.again(rows))
        if epoch == self.epoch:
            for (index, _), row in zip(present, now, strict=True):
                if row is not None:
                    self.pages.replace(index, row)


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Join neighbouring numbers: ``[3, 4, 7]`` -> ``[(3, 4), (7, 7)]``."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
