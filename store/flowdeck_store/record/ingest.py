"""Committing events: one statement a batch, and what to do when the store refuses one.

Used by the writer thread for this process's events and by recovery for those of a dead one.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import events as ev
from flowdeck_store.file.tables.ingest_ddl import APPLIED_MOVED, INGEST_COLUMNS
from flowdeck_store.record.batch import BadEvent, Batch, KnownIds
from flowdeck_store.text import clean, clean_event, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from flowdeck_store.events import Event

#: Log lines and failures of one statement are bounded to about this many bytes.
BATCH_BYTES: Final = 4_194_304
#: Name of the logger of lines that say what could not be recorded.
LOGGER: Final = "flowdeck.store"

_INGEST: Final = (
    f"INSERT INTO ingest({','.join(INGEST_COLUMNS)}) VALUES({','.join('?' * len(INGEST_COLUMNS))})"
)
_NUMBERS: Final = (
    "SELECT 0,uid,id FROM flow_runs WHERE uid IN (SELECT value FROM json_each(?)) "
    "UNION ALL SELECT 1,key,id FROM tasks WHERE key IN (SELECT value FROM json_each(?)) "
    "UNION ALL SELECT 2,name,id FROM log_sources WHERE name IN (SELECT value FROM json_each(?))"
)
_BAD_SHAPE: Final = (BadEvent, TypeError, ValueError, LookupError)
_REFUSED: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    ValueError,
)
_KNOWN_CAP: Final = 100_000  # numbers of runs kept; older ones are looked up again


class AppliedMovedError(Exception):
    """Somebody else applied records of this session: read ``sessions.applied`` and go on there."""


class Ingester:
    """Commits batches of one session over one connection.

    Args:
        conn: a connection of :func:`flowdeck_store.file.connection.connect_rw`.
        hold: held around every commit: ``write_lock.hold``, or nothing if the caller holds it.
        session_id: the number of the session's row; ``None`` for events of no session.
        clock: gives the time that is noted as the session's last sign of life.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        hold: Callable[[], AbstractContextManager[None]],
        session_id: int | None,
        clock: Callable[[], int] = ev.now_us,
    ) -> None:
        self.known = KnownIds()
        self.rejected = 0  # events that could not be recorded
        self.homeless = 0  # those of them whose run is not known, so that no log says so
        self._conn, self._hold, self._session_id = conn, hold, session_id
        self._clock = clock

    def commit(self, events: Sequence[Event], base: int | None) -> int:
        """Commit the first events, all of them unless they are very large; return how many.

        Args:
            events: in order; the first is record number ``base`` of its journal.
            base: how many records must have been applied before; ``None``: these events are no
                records of a journal.

        Raises:
            AppliedMovedError: ``sessions.applied`` is not ``base``.
            sqlite3.Error: the store cannot be written now; nothing of this call is in it.
        """
        try:
            return self._commit(events, base)
        except sqlite3.IntegrityError as error:
            if APPLIED_MOVED in str(error):
                raise AppliedMovedError from error
            # Rows that we know by number may have been pruned meanwhile.
            self.known.clear()
        except _REFUSED:
            pass
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise  # locked, full, read-only...: not the events' fault
        return self._commit_halves(events, base)

    def _commit(self, events: Sequence[Event], base: int | None) -> int:
        batch, n = self._build(events)
        sections, tidy = _encoded(batch)
        if not tidy:
            # Surrogates, NUL or numbers that JSON does not know: rare, so checked afterwards.
            batch, n = self._build([clean_event(event) for event in events[:n]])
            sections, _ = _encoded(batch)
        values: dict[str, Any] = {
            "sess": self._session_id,
            "base": base,
            "n": 0 if base is None else n,
            "us": self._clock(),
            **sections,
        }
        row = [values.get(name) for name in INGEST_COLUMNS]
        with self._hold():
            self._conn.execute(_INGEST, row)
        self._learn(batch)
        return n

    def _build(self, events: Iterable[Event]) -> tuple[Batch, int]:
        batch = Batch(self.known, self._find_run, self._find_def)
        n = 0
        for event in events:
            try:
                batch.add(event)
            except _BAD_SHAPE as error:
                self._replace(batch, event, error)
            n += 1
            if batch.text_bytes > BATCH_BYTES:
                break
        return batch, n

    def _replace(self, batch: Batch, event: Event, error: Exception) -> None:
        """Put a log line in the place of an event that cannot be recorded."""
        self.rejected += 1
        try:
            batch.add(_notice(event, error))
        except _BAD_SHAPE:
            self.homeless += 1

    def _commit_halves(self, events: Sequence[Event], base: int | None) -> int:
        """Find the events that the store refuses by halving; all others are committed."""
        if len(events) > 1:
            middle = len(events) // 2
            done = self.commit(events[:middle], base)
            if done < middle:
                return done
            return done + self.commit(events[middle:], None if base is None else base + middle)
        try:
            # Once more by itself: the failure may have been the cached numbers.
            return self._commit(events, base)
        except _REFUSED as error:
            self.rejected += 1
            try:
                return self._commit([_notice(events[0], error)], base)
            except _REFUSED:
                return self._commit([()], base)

    def _find_run(self, uid: str) -> int | None:
        found = self._conn.execute("SELECT id FROM flow_runs WHERE uid=?", (uid,)).fetchall()
        return found[0][0] if found else None

    def _find_def(self, key: str) -> int | None:
        found = self._conn.execute("SELECT id FROM tasks WHERE key=?", (clean(key),)).fetchall()
        return found[0][0] if found else None

    def _learn(self, batch: Batch) -> None:
        """Remember the numbers that the store gave to what was new in the batch."""
        known = self.known
        known.tracebacks |= batch.new_tracebacks
        if not (batch.new_runs or batch.new_defs or batch.new_loggers):
            return
        if len(known.runs) > _KNOWN_CAP:
            known.runs = dict(list(known.runs.items())[_KNOWN_CAP // 2 :])
        keys = [_json_list(k) for k in (batch.new_runs, batch.new_defs, batch.new_loggers)]
        targets = (known.runs, known.defs, known.loggers)
        for kind, key, number in self._conn.execute(_NUMBERS, keys).fetchall():
            targets[kind][key] = number


def _encoded(batch: Batch) -> tuple[dict[str, str | bytes | None], bool]:
    """Return the sections, and whether SQLite will give their texts back as they are."""
    sections = batch.sections()
    for text in sections.values():
        if isinstance(text, str) and not _is_tidy(text):
            return sections, False
    return sections, True


def _is_tidy(text: str) -> bool:
    if "\\u0000" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_list(keys: Iterable[str]) -> str:
    return json.dumps([clean(key) for key in keys])


def _notice(event: Event, error: Exception) -> Event:
    """A log line, in the run that the event belongs to, saying that it is not recorded."""
    kind, uid, no = event[ev.KIND], event[ev.UID], 0
    if kind not in {ev.RUN, ev.TASK_DEF} and len(event) > ev.NO and isinstance(event[ev.NO], int):
        no = event[ev.NO]
    text = f"flowdeck could not record an event of this run: {error} {clip(repr(event), 500)}"
    return ev.log(uid, no, ev.now_us(), 30, LOGGER, clean(text))
