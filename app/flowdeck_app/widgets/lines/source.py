"""What a line view shows: rows behind an index, fetched in windows, never all at once.

A source answers synchronous questions and is asked only through its own ``run``, away from the
event loop; for sources over the store that is one thread with its own connection, so a source
needs no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

R = TypeVar("R")
T = TypeVar("T")
Key = Hashable


@runtime_checkable
class Source(Protocol[R]):
    """Rows ``0 … count()-1`` in the order shown.

    Attributes:
        stable: rows never move or change once they are there (logs): pages stay valid.
        problems_first: so many rows at the beginning are problems, as of the last renewal.
    """

    stable: bool
    problems_first: int

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` where this source may be asked (a thread) and return its value."""

    def renew(self) -> None:
        """Look at the record again: the next answers are of now. Called once a reload."""

    def count(self) -> int:
        """Return how many rows there are."""

    def fetch(self, start: int, n: int) -> Sequence[R]:
        """Return rows ``start … start+n-1``, fewer at the end."""

    def key(self, row: R) -> Key:
        """Return what names the row for as long as it lives; called anywhere, must be pure."""

    def index_of(self, key: Key) -> int | None:
        """Return where the row is now, ``None`` if it is gone or filtered out."""

    def again(self, rows: Sequence[R]) -> Sequence[R | None]:
        """Return the same rows as they are now, without moving any (``None``: it is gone)."""

    def find(self, text: str, start: int, step: int) -> int | None:
        """Return the next row whose text contains ``text`` (case-insensitive).

        Args:
            text: what to look for.
            start: index to begin with; the search wraps round.
            step: 1 forwards, -1 backwards.
        """


async def in_thread(work: Callable[[], T]) -> T:
    """Call ``work`` in a thread of the loop's default pool."""
    return await asyncio.to_thread(work)


class MemorySource(Generic[R]):
    """A source over a list in memory: for small tables and for tests.

    Args:
        rows: the rows; assign ``rows`` and reload the view to change them.
        key: what names a row.
        text: a row as text, for searching.
        stable: see :class:`Source`.
        run: where to call; the default calls at once, as nothing here waits.
    """

    def __init__(
        self,
        rows: Sequence[R] = (),
        *,
        key: Callable[[R], Key] = lambda row: row,
        text: Callable[[R], str] = str,
        stable: bool = False,
        run: Callable[[Callable[[], object]], Awaitable[object]] | None = None,
    ) -> None:
        self.rows = rows
        self.stable, self.problems_first = stable, 0
        self._key, self._text, self._run = key, text, run
        self._now: Sequence[R] = rows

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` at once, or by the given ``run``."""
        if self._run is None:
            return work()
        return await self._run(work)  # type: ignore[return-value]

    def renew(self) -> None:
        """Take the present ``rows``."""
        self._now = self.rows

    def count(self) -> int:
        """Return how many rows there are."""
        return len(self._now)

    def fetch(self, start: int, n: int) -> Sequence[R]:
        """Return rows from ``start`` on."""
        return self._now[start : start + n]

    def key(self, row: R) -> Key:
        """Return what names the row."""
        return self._key(row)

    def index_of(self, key: Key) -> int | None:
        """Return where the row is now."""
        return next((i for i, row in enumerate(self._now) if self._key(row) == key), None)

    def again(self, rows: Sequence[R]) -> Sequence[R | None]:
        """Return the same rows as they are in ``rows`` now."""
        now = {self._key(row): row for row in self.rows}
        return [now.get(self._key(row)) for row in rows]

    def find(self, text: str, start: int, step: int) -> int | None:
        """Return the next row whose text contains ``text``."""
        wanted, total = text.casefold(), len(self._now)
        for offset in range(total):
            index = (start + offset * step) % total
            if wanted in self._text(self._now[index]).casefold():
                return index
        return None


class FakeSource(Generic[R]):
    """A source of any size for tests and benchmarks: rows are made when they are asked for.

    Args:
        make: index and version -> row.
        total: how many rows.
        key: what names a row.
        stable: see :class:`~flowdeck_app.widgets.lines.source.Source`.
    """

    def __init__(
        self,
        make: Callable[[int], R],
        total: int,
        *,
        key: Callable[[R], Key],
        position: Callable[[Key], int | None] = lambda key: key if isinstance(key, int) else None,
        stable: bool = False,
    ) -> None:
        self.make, self.total, self.stable = make, total, stable
        self.problems_first = 0
        self.asked: list[tuple[int, int]] = []
        self.error: Exception | None = None
        self._key, self._position = key, position

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` at once."""
        if self.error is not None:
            raise self.error
        return work()

    def renew(self) -> None:
        """Nothing to do: ``total`` and ``make`` are always of now."""

    def count(self) -> int:
        """Return ``total``."""
        return self.total

    def fetch(self, start: int, n: int) -> Sequence[R]:
        """Make the rows; what was asked is kept in :attr:`asked`."""
        self.asked.append((start, n))
        return [self.make(index) for index in range(start, min(start + n, self.total))]

    def key(self, row: R) -> Key:
        """Return what names the row."""
        return self._key(row)

    def index_of(self, key: Key) -> int | None:
        """Return where the row is."""
        found = self._position(key)
        return found if found is not None and found < self.total else None

    def again(self, rows: Sequence[R]) -> Sequence[R | None]:
        """Make the same rows anew."""
        places = [self._position(self._key(row)) for row in rows]
        return [None if place is None else self.make(place) for place in places]

    def find(self, text: str, start: int, step: int) -> int | None:
        """Look through the rows' text."""
        places = (index % self.total for index in range(start, start + step * self.total, step))
        return next((p for p in places if text.casefold() in str(self.make(p)).casefold()), None)
