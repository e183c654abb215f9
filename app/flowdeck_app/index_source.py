"""A source over an index of keys: the order is taken once a reload, rows are read by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from flowdeck_app.access import ROWS, StoreAccess
from flowdeck_store.query.ordering import RowIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flowdeck_app.widgets.lines.source import Key
    from flowdeck_store.read.reader import Reader

R = TypeVar("R")
T = TypeVar("T")

NO_ROWS: Final = RowIndex(range(0), True)


class IndexSource(ABC, Generic[R]):
    """Base of the sources of :mod:`flowdeck_app.sources`.

    Args:
        access: the app's lanes into the store.
        lane: in which one to ask.
    """

    stable = False
    problems_first = 0

    def __init__(self, access: StoreAccess, lane: str = ROWS) -> None:
        self._access, self._lane = access, lane
        self._index: RowIndex = NO_ROWS
        self._lent: Reader | None = None
        self._found: tuple[str, int, frozenset[int]] = ("", 0, frozenset())

    @abstractmethod
    def _look(self, reader: Reader) -> RowIndex:
        """Return the keys in their order as of now."""

    @abstractmethod
    def _read(self, reader: Reader, keys: Sequence[int]) -> Sequence[R]:
        """Return the rows of some keys, in that order; deleted ones are left out."""

    @abstractmethod
    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        """Return the keys of rows that contain ``text``."""

    @abstractmethod
    def key(self, row: R) -> int:
        """Return the key of a row."""

    async def run(self, work: Callable[[], T]) -> T:
        """Call ``work`` on the lane's thread, its reader at hand."""

        def with_reader(reader: Reader) -> T:
            self._lent = reader
            return work()

        return await self._access.ask(with_reader, self._lane)

    @property
    def _reader(self) -> Reader:
        if self._lent is None:
            raise RuntimeError("a source is asked through its run()")
        return self._lent

    def renew(self) -> None:
        """Take the order anew."""
        self._index = self._look(self._reader)

    def count(self) -> int:
        """Return how many rows there are."""
        return len(self._index)

    def fetch(self, start: int, n: int) -> Sequence[R]:
        """Return rows from ``start`` on."""
        keys = self._index.slice(start, n)
        return self._read(self._reader, keys) if len(keys) else []

    def index_of(self, key: Key) -> int | None:
        """Return where a row stands."""
        return self._index.position(key) if isinstance(key, int) else None

    def keys(self) -> Sequence[int]:
        """Return the keys of all rows in their order (for "mark all")."""
        return self._index.ids

    def again(self, rows: Sequence[R]) -> Sequence[R | None]:
        """Return the same rows as they are now."""
        now = {self.key(row): row for row in self._read(self._reader, [*map(self.key, rows)])}
        return [now.get(self.key(row)) for row in rows]

    def find(self, text: str, start: int, step: int) -> int | None:
        """Return the next row that contains ``text``, round the end if need be."""
        ids, total = self._index.ids, len(self._index)
        if self._found[:2] != (text, total):
            self._found = (text, total, frozenset(self._matches(self._reader, text)))
        wanted = self._found[2]
        if not wanted:
            return None
        places = (index % total for index in range(start, start + step * total, step))
        return next((place for place in places if ids[place] in wanted), None)
