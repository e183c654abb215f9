"""Which rows are at hand: pages of a source, the least recently drawn forgotten first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

R = TypeVar("R")

PAGE: Final = 100  # rows
MOST: Final = 60  # pages kept


class Pages(Generic[R]):
    """Rows by index, in pages; knows which pages are old, missing or being fetched.

    ``stale`` pages are still drawn until the fresh ones arrive: nothing flickers.
    """

    def __init__(self, size: int = PAGE, most: int = MOST) -> None:
        self.size, self.most = size, most
        self._pages: dict[int, Sequence[R]] = {}
        self._fresh: set[int] = set()
        self.in_flight: set[int] = set()

    def row(self, index: int) -> R | None:
        """Return the row if its page is at hand, however old."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number)
        if page is None or offset >= len(page):
            return None
        return page[offset]

    def missing(self, first: int, last: int, count: int) -> list[int]:
        """Return the numbers of pages to fetch for rows ``first … last`` (inclusive)."""
        if count <= 0:
            return []
        first, last = max(0, first), min(last, count - 1)
        return [
            number
            for number in range(first // self.size, last // self.size + 1)
            if number not in self._fresh and number not in self.in_flight
        ]

    def keep(self, number: int, rows: Sequence[R]) -> None:
        """Keep a fetched page; equal old rows stay the same objects, so what was drawn is kept."""
        old = self._pages.pop(number, None)
        if old is not None:
            rows = [
                old[place] if place < len(old) and old[place] == row else row
                for place, row in enumerate(rows)
            ]
        self._pages[number] = rows
        self.in_flight.discard(number)
        self._fresh.add(number)
        while len(self._pages) > self.most:
            oldest = next(iter(self._pages))
            del self._pages[oldest]
            self._fresh.discard(oldest)

    def touch(self, numbers: Iterable[int]) -> None:
        """Say that these pages are drawn now."""
        for number in numbers:
            page = self._pages.pop(number, None)
            if page is not None:
                self._pages[number] = page

    def expire(self, *, keep_below: int = 0) -> None:
        """Make pages stale: they are drawn until fetched again.

        Args:
            keep_below: pages that lie wholly below this row index stay fresh (append-only rows).
        """
        self._fresh = {n for n in self._fresh if (n + 1) * self.size <= keep_below}
        self.in_flight.clear()

    def drop_from(self, count: int) -> None:
        """Forget pages that lie wholly at or beyond row ``count``."""
        for number in [n for n in self._pages if n * self.size >= count]:
            del self._pages[number]
            self._fresh.discard(number)

    def clear(self) -> None:
        """Forget everything (another source)."""
        self._pages.clear()
        self._fresh.clear()
        self.in_flight.clear()

    def replace(self, index: int, row: R) -> None:
        """Put a newer version of one row in its place, if its page is at hand."""
        number, offset = divmod(index, self.size)
        page = self._pages.get(number)
        if page is not None and offset < len(page) and page[offset] != row:
            rows = list(page)
            rows[offset] = row
            self._pages[number] = rows
