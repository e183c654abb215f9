"""Log lines for line views: of a run, of one task run, or of a run with all that is below it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from flowdeck_app.index_source import NO_ROWS, IndexSource
from flowdeck_store.query.language import quote
from flowdeck_store.query.ordering import RowIndex
from flowdeck_store.read.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck_app.access import StoreAccess
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.tree.runs import TreeRun

#: New log lines taken at a time when an index grows.
_GROWTH: Final = 5000


class LogSource(IndexSource[LogRecord]):
    """Log lines of a run or of one task run, oldest first. Keys are sequence numbers.

    Args:
        access: the app's lanes.
        run_id: number of the flow run.
        no: only this task run's (0: the flow function's own); ``None``: all.
        query: filter text (``level:warning logger:x text``).
        context: lines shown before and after each match.
        whole: also those of all runs below it, as one log.
    """

    stable = True

    def __init__(
        self,
        access: StoreAccess,
        run_id: int,
        no: int | None = None,
        query: str = "",
        *,
        context: int = 0,
        whole: bool = False,
    ) -> None:
        super().__init__(access)
        self.run_id, self.no, self.query, self.whole = run_id, no, query, whole
        self.context = context if query else 0
        self.runs: Mapping[int, TreeRun] = {}
        self._generation = -1
        self._hits: RowIndex = NO_ROWS

    def with_context(self, context: int) -> LogSource:
        """Return the same lines with more or fewer around each match."""
        return LogSource(
            self._access,
            self.run_id,
            self.no,
            self.query,
            context=max(0, context),
            whole=self.whole,
        )

    def is_match(self, row: LogRecord) -> bool:
        """Say whether a line is here by itself, not as the context of another."""
        return not self.context or self._hits.position(row.seq) is not None

    def _look(self, reader: Reader) -> RowIndex:
        before = self.runs
        if self.whole:
            self.runs = reader.run_tree(self.run_id)
        if self.context:
            self._hits = self._every(reader, self.query)
            return _around(self._every(reader, ""), self._hits, self.context)
        ids = self._index.ids
        if isinstance(ids, array) and ids and self._generation == reader.generation:
            if self.runs.keys() - before.keys():  # the subflows that have begun since
                fresh = reader.tree_log_index([*(self.runs.keys() - before.keys())], self.query)
                ids = array("q", sorted({*ids, *fresh.ids}))
            self._grow(reader, ids)
            return RowIndex(ids, True)
        self._generation = reader.generation
        return self._every(reader, self.query)

    def _every(self, reader: Reader, query: str) -> RowIndex:
        if self.whole:
            return reader.tree_log_index([*self.runs], query)
        return reader.log_index(self.run_id, self.no, query)

    def _grow(self, reader: Reader, ids: array[int]) -> None:
        """Append what came since the last look."""
        while True:
            if self.whole:
                rows = reader.tree_logs(
                    [*self.runs], query=self.query, after_seq=ids[-1], limit=_GROWTH
                )
            else:
                rows = reader.logs(
                    self.run_id, self.no, query=self.query, after_seq=ids[-1], limit=_GROWTH
                )
            ids.extend([row.seq for row in rows])
            if len(rows) < _GROWTH:
                return

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[LogRecord]:
        return reader.logs_by_seqs(keys)

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return self._every(reader, f"{self.query} {quote(text)}").ids

    def key(self, row: LogRecord) -> int:
        """Return the sequence number."""
        return row.seq


def _around(every: RowIndex, hits: RowIndex, context: int) -> RowIndex:
    """Return the hits and their neighbours, in order."""
    found = array("q")
    following = 0  # first place that is not taken yet
    for key in hits.ids:
        place = every.position(key)
        if place is not None:
            start, end = max(following, place - context), place + context + 1
            found.extend(every.slice(start, end - start))
            following = max(following, end)
    return RowIndex(found, True)
