"""Reading what a dead session's journal holds, and committing what the store lacks of it.

A kill tears the last record at most; that is an end, not damage. Disks and people do worse: segments
are deleted, bytes flip. To end at the first record that does not check would lose everything after
it. Records are numbered, so reading goes on with the next whole record, and what is missing can be
told: a segment that is gone, records that do not check, a header that is garbled. That is said in
the log of the runs that went on there, and counted; damaged segments are kept for whoever can read
more of them.
"""

from __future__ import annotations

import marshal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import events as ev
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.journal import chain
from flowdeck_store.journal.segment import SOME
from flowdeck_store.record.ingest import LOGGER, Ingester

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowdeck_store.events import Event
    from flowdeck_store.file.paths import StorePaths

_BATCH: Final = 3_000
_ERROR: Final = 40
_GOING_ON: Final = (
    "SELECT uid FROM flow_runs WHERE session_id=? AND ended_us IS NULL UNION "
    "SELECT uid FROM flow_runs WHERE id=(SELECT max(id) FROM flow_runs WHERE session_id=?) "
    "AND NOT EXISTS(SELECT 1 FROM flow_runs WHERE session_id=? AND ended_us IS NULL)"
)


@dataclass(slots=True)
class MissingEvents:
    """What of a session's events is gone."""

    events: int = 0
    is_exact: bool = True
    kept: list[Path] = field(default_factory=list)  # damaged segments
    runs: dict[str, int] = field(default_factory=dict)  # uids of the runs that went on there

    def count(self, number: int) -> str:
        """Return ``12 events are``, ``at least 1 event is``."""
        least = "" if self.is_exact else "at least "
        return f"{least}{number:,} event{' is' if number == 1 else 's are'}"


class Replay:
    """Commits a dead session's records; the caller holds its process lock.

    Args:
        conn: to the store, for writing.
        paths: of the store.
        session_id: number of the session's row.
        wait: how long to wait for the write lock, in seconds.
        pause: called between batches; may raise to end early.
        reopen: called before the first batch.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        paths: StorePaths,
        session_id: int,
        wait: float,
        pause: Callable[[], None],
        reopen: Callable[[], None],
    ) -> None:
        self.missing = MissingEvents()
        self._conn, self._session_id = conn, session_id
        self._write_lock, self._wait = write_lock_of(paths.write_lock), wait
        self._pause, self._reopen = pause, reopen
        self._batch: list[Event] = []
        self._last_us = 0
        # Replaying is no sign of life of the dead: the newest event is.
        self._ingester = Ingester(
            conn, lambda: self._write_lock.hold(wait), session_id, lambda: self._last_us
        )

    def run(self, left: list[chain.LeftSegment], applied: int) -> int:
        """Commit the records from number ``applied`` on; return how many there were.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be written; nothing is lost.
        """
        replayed = 0
        reopened = False
        for number, event in self._records(left):
            expected = applied + len(self._batch)
            if number < expected:
                continue
            if not reopened:
                reopened = True
                self._reopen()
            if number > expected:
                # What is in between is gone; what follows it must not be lost with it.
                applied = self._commit_all(applied)
                self._skip(number, number - applied)
                applied = number
            self._batch.append(event)
            replayed += 1
            if len(self._batch) >= _BATCH:
                applied = self._commit(applied)
        self._commit_all(applied)
        self._tell_the_rest(left)
        return replayed

    def _commit_all(self, applied: int) -> int:
        while self._batch:
            applied = self._commit(applied)
        return applied

    def _commit(self, applied: int) -> int:
        self._pause()
        self._last_us = max(self._last_us, *map(ev.time_of, self._batch))
        done = self._ingester.commit(self._batch, applied)
        del self._batch[:done]
        return applied + done

    def _skip(self, number: int, missing: int) -> None:
        with self._write_lock.hold(self._wait):
            query = "UPDATE sessions SET applied=? WHERE id=?"
            self._conn.execute(query, (number, self._session_id))
        self._tell(missing)

    def _tell_the_rest(self, left: list[chain.LeftSegment]) -> None:
        """At the end: what no number told of."""
        missing = self.missing
        nowhere = self._ingester.homeless  # of a run whose beginning is gone
        if not (missing.events or nowhere or all(part.is_readable for part in left)):
            missing.is_exact = False
            nowhere = 1
        if nowhere:
            self._tell(nowhere)
        if missing.events:
            missing.kept = [part.path for part in left if part.is_damaged]

    def _tell(self, number: int) -> None:
        """Say in the log of the runs that went on that events are missing here."""
        self.missing.events += number
        rows = self._conn.execute(_GOING_ON, (self._session_id,) * 3).fetchall()
        text = (
            f"{self.missing.count(number)} missing here: a part of this process's journal was lost "
            "or damaged. What is left of a damaged part is kept beside the journals, as "
            f"*{chain.DAMAGED}."
        )
        lines = []
        for (uid,) in rows:
            self.missing.runs[uid] = self.missing.runs.get(uid, 0) + number
            lines.append(ev.log(uid, 0, self._last_us or ev.now_us(), _ERROR, LOGGER, text))
        if lines:
            self._ingester.commit(lines, None)

    def _records(self, left: list[chain.LeftSegment]) -> Iterator[tuple[int, Event]]:
        """Yield the records of a journal with their numbers."""
        readable = [part for part in left if part.is_readable]
        for index, part in enumerate(readable, 1):
            stop = readable[index].first if index < len(readable) else None
            for number, data in self._numbered(part, stop):
                event = _event(data)
                if event is not None:
                    yield number, event

    def _numbered(self, part: chain.LeftSegment, stop: int | None) -> Iterator[tuple[int, bytes]]:
        """Number the records of one segment; ``stop`` is the first number of the next one.

        How many are in a stretch that cannot be read follows from what comes after it; where
        nothing does, it is one at least.
        """
        records = part.read()
        holes = [index for index, (lost, _) in enumerate(records) if lost == SOME]
        unread = len(holes)
        if holes and stop is not None:
            certain = len(records) + sum(max(lost, 0) for lost, _ in records)
            unread = max(unread, stop - part.first - certain)
        elif holes:
            self.missing.is_exact = False
        number = part.first
        for index, (lost, data) in enumerate(records):
            if lost != SOME:
                number += lost
            else:
                number += 1 + (unread - len(holes) if index == holes[0] else 0)
            yield number, data
            number += 1


def _event(data: bytes) -> Any:
    try:
        return marshal.loads(data)
    except (ValueError, EOFError, TypeError):
        return None  # it keeps its number, and counts as missing
