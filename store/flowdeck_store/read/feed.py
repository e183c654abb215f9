"""What is new since a cursor: how a view stays live without reading everything again.

:meth:`Feed.poll` costs 3 us and says whether anything was written (``PRAGMA data_version``, seen
across processes) or the file was replaced. :meth:`Feed.changes` then reads the states and log lines
behind a :class:`Cursor`. Both tables number their rows under the one write lock, so a row never
appears behind a cursor that has passed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.read.base import ReaderBase, Row
from flowdeck_store.read.details import state_record
from flowdeck_store.read.logs import log_record

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.read.records import LogRecord, StateRecord

#: A cursor that is further behind than this is told to reload instead of reading it all.
MAX_BEHIND: Final = 20_000
_END: Final = (
    "SELECT (SELECT value FROM meta WHERE key = 'db_uid'), "
    "(SELECT coalesce(max(seq), 0) FROM states), (SELECT coalesce(max(seq), 0) FROM logs)"
)
_STATES: Final = "SELECT seq, run_id, task_no, state, name, us, msg, data FROM states "
_LOGS: Final = (
    "SELECT l.seq, l.run_id, l.task_no, l.us, l.level, s.name, l.msg FROM logs l "
    "LEFT JOIN log_sources s ON s.id = l.src "
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far somebody has read: which store, and the last sequence numbers seen."""

    store: str = ""  # "": no store yet
    states: int = 0
    logs: int = 0


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened behind a cursor.

    ``reset``: another store lies at the path now, or too much has happened: forget what you know,
    read it anew and go on from ``cursor``. ``more``: call again at once, there is more to read.
    A write may leave no trace here (a deleted run, a result): then all is empty although
    :meth:`Feed.poll` said yes, and what is on the screen should be read again.
    """

    states: tuple[StateRecord, ...]
    logs: tuple[LogRecord, ...]
    run_ids: frozenset[int]
    cursor: Cursor
    more: bool = False
    reset: bool = False


class Feed(ReaderBase):
    """Watches one store; the store may appear, vanish or be replaced meanwhile.

    Like a reader: calls must not overlap, errors are those of ``Reader``.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._seen: tuple[bool, int, int] | None = None

    def poll(self) -> bool:
        """Say whether anything was written since the last call (the first call says yes)."""
        now = (self.exists, self._generation, self.data_version())
        changed = now != self._seen
        self._seen = now
        return changed

    def start(self) -> Cursor:
        """Return the cursor behind everything that is in the store now."""
        row = self._one(_END)
        return Cursor() if row is None else Cursor(row[0] or "", row[1], row[2])

    def changes(
        self,
        cursor: Cursor,
        run_id: int | None = None,
        limit: int = 2_000,
        *,
        logs: bool = True,
    ) -> Changes:
        """Return what was written behind ``cursor``, oldest first.

        Args:
            cursor: from :meth:`start` or from the last :class:`Changes`.
            run_id: only what belongs to this run.
            limit: the most states, and the most log lines, to return at once.
            logs: read log lines too.
        """
        end = self.start()
        if cursor.store not in {"", end.store}:
            return Changes((), (), frozenset(), end, reset=True)
        if run_id is None and _behind(cursor, end, logs) > MAX_BEHIND:
            return Changes((), (), frozenset(), end, reset=True)
        rows = self._behind(_STATES, "", cursor.states, end.states, run_id, limit)
        states = tuple(state_record(row) for row in rows)
        lines: list[Row] = []
        if logs:
            lines = self._behind(_LOGS, "l.", cursor.logs, end.logs, run_id, limit)
        records = tuple(log_record(row) for row in lines)
        more = len(states) == limit or len(records) == limit
        following = Cursor(
            end.store,
            states[-1].seq if len(states) == limit else max(cursor.states, end.states),
            records[-1].seq if len(records) == limit else max(cursor.logs, end.logs),
        )
        touched = frozenset(s.run_id for s in states) | frozenset(r.run_id for r in records)
        return Changes(states, records, touched, following, more)

    def _behind(
        self, select: str, alias: str, low: int, high: int, run_id: int | None, limit: int
    ) -> list[Row]:
        # The plus keeps SQLite from the index by run, which would make it sort the run's history.
        of_run = "" if run_id is None else f"AND +{alias}run_id = ?"
        return self._rows(
            f"{select} WHERE {alias}seq > ? AND {alias}seq <= ? {of_run} "
            f"ORDER BY {alias}seq LIMIT ?",
            (low, high, *(() if run_id is None else (run_id,)), limit),
        )


def _behind(cursor: Cursor, end: Cursor, logs: bool) -> int:
    states = end.states - cursor.states
    return max(states, end.logs - cursor.logs) if logs else states
