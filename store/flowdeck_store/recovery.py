"""What dead processes left: replay their journals exactly once, end their runs.

Whoever recovers a session holds its liveness mark meanwhile, so nobody else does; and the store
counts how many records it has (``sessions.applied``), in the very transaction that adds them, so
that a recovery that is itself killed is simply continued by the next.
"""

from __future__ import annotations

import marshal
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store import crash, fallback, journal, marks
from flowdeck_store.connection import WAIT_S, connect_rw
from flowdeck_store.events import FIELDS
from flowdeck_store.gate import gate_of
from flowdeck_store.identity import Identity
from flowdeck_store.ingest import Ingester
from flowdeck_store.side_door import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowdeck_store.events import Event
    from flowdeck_store.paths import StorePaths

_BATCH: Final = 3_000
_SESSION: Final = "SELECT id,pid,host,applied,ended_us IS NOT NULL FROM sessions WHERE uid=?"
_ADD_SESSION: Final = (
    "INSERT INTO sessions(uid,host,boot_id,pid,pid_start,started_us,beat_us,version,applied) "
    "VALUES(?,?,?,?,?,?,?,?,?)"
)
_US: Final = {kind: names.index("us") for kind, names in FIELDS.items() if "us" in names}
_OPEN_RUNS: Final = "SELECT id,state FROM flow_runs WHERE session_id=? AND ended_us IS NULL"


class Stopped(Exception):
    """The caller wants to end; what is not recovered yet is left to the next."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A session that was recovered."""

    session_uid: str
    pid: int
    host: str
    events: int  # replayed from its journal
    run_ids: tuple[int, ...]  # flow runs that were ended (Crashed, or Cancelled if asked for)
    tasks: int  # task runs that were ended with them


@dataclass(frozen=True, slots=True)
class _Session:
    id: int
    pid: int
    host: str
    applied: int
    ended: bool


class Recovery:
    """Recovers dead sessions of one store.

    Args:
        paths: of the store.
        stop: asked between batches whether to end early.
    """

    def __init__(self, paths: StorePaths, stop: Callable[[], bool] = lambda: False) -> None:
        self._paths, self._stop = paths, stop
        self._journals = fallback.folders(paths, paths.journal)
        self._locks = fallback.folders(paths, paths.locks)

    def left_behind(self) -> set[str]:
        """Return the uids of sessions that have a mark or a journal but no living process."""
        found = _uids(self._locks, marks.uid_of) | _uids(self._journals, journal.uid_of)
        return {uid for uid in found if not self.is_held(uid)}

    def is_held(self, uid: str) -> bool:
        """Say whether a living process holds the mark of a session."""
        return any(marks.is_held(folder, uid) for folder in self._locks)

    def session(self, uid: str) -> Recovered | None:
        """Recover one dead session; ``None`` if it lives, or if there was nothing to recover.

        Raises:
            Stopped: the caller wants to end.
            StoreError, sqlite3.Error, OSError: the store cannot be written; nothing is lost.
        """
        mark = self._seize(uid)
        if mark is None:
            return None
        done = False
        try:
            with closing(connect_rw(self._paths, timeout=WAIT_S)) as conn:
                recovered = self._recover(conn, uid)
            journal.delete(self._journals, uid)
            done = True
        finally:
            mark.release(delete=done)
        return recovered

    def _seize(self, uid: str) -> marks.Mark | None:
        for folder in self._locks:
            if (folder / f"{uid}{marks.SUFFIX}").exists():
                return marks.seize(folder, uid)
        return marks.seize(self._paths.locks, uid)

    def _recover(self, conn: sqlite3.Connection, uid: str) -> Recovered | None:
        left = journal.find(self._journals, uid)
        session = self._session_row(conn, uid, left)
        if session is None:
            return None
        replayed = self._replay(conn, session, left)
        if session.ended and not replayed:
            return None  # it ended by itself, and only its files were left
        return self._end(conn, uid, session, replayed)

    def _end(
        self, conn: sqlite3.Connection, uid: str, session: _Session, replayed: int
    ) -> Recovered:
        """End the session and its runs at its last sign of life."""
        with transaction(conn, self._paths, WAIT_S):
            query = "SELECT beat_us FROM sessions WHERE id=?"
            ((beat_us,),) = conn.execute(query, (session.id,)).fetchall()
            rows = conn.execute(_OPEN_RUNS, (session.id,)).fetchall()
            runs = [crash.OpenRun(*row) for row in rows]
            message = (
                f"The process of this run (pid {session.pid} on {session.host}) ended without a "
                "word: killed, or the machine went down."
            )
            tasks = crash.end_runs(conn, runs, message, beat_us)
            conn.execute("DELETE FROM slots WHERE session_id=?", (session.id,))
            conn.execute(
                "UPDATE sessions SET ended_us=coalesce(ended_us,?),how=coalesce(how,?) WHERE id=?",
                (beat_us, "crashed", session.id),
            )
        return Recovered(
            uid, session.pid, session.host, replayed, tuple(run.id for run in runs), tasks
        )

    def _session_row(
        self, conn: sqlite3.Connection, uid: str, left: list[journal.Left]
    ) -> _Session | None:
        """Return the session's row; make one if only its journal got as far as the disk."""
        rows = conn.execute(_SESSION, (uid,)).fetchall()
        if not rows and left:
            me = Identity.from_dict(left[0].info)
            values = (uid, me.host, me.boot_id, me.pid, me.pid_start, me.started_us,
                      me.started_us, me.version, left[0].first)  # fmt: skip
            with gate_of(self._paths.gate).hold(WAIT_S):
                conn.execute(_ADD_SESSION, values)
            rows = conn.execute(_SESSION, (uid,)).fetchall()
        return _Session(*rows[0]) if rows else None

    def _replay(self, conn: sqlite3.Connection, session: _Session, left: list[journal.Left]) -> int:
        """Commit the records that the store does not have; return how many."""
        gate = gate_of(self._paths.gate)
        batch: list[Event] = []
        # Replaying is no sign of life of the dead: the newest event is.
        ingester = Ingester(
            conn, lambda: gate.hold(WAIT_S), session.id, lambda: max(map(_time_of, batch))
        )
        applied, skipped = session.applied, 0
        for number, event in _records(left):
            expected = applied + len(batch)
            if number < expected:
                continue
            if number > expected:
                # A file in between is gone; what follows it must not be lost with it.
                applied += self._commit_all(ingester, batch, applied)
                self._skip_to(conn, session, number)
                skipped, applied = skipped + number - applied, number
            batch.append(event)
            if len(batch) >= _BATCH:
                applied += self._commit(ingester, batch, applied)
        applied += self._commit_all(ingester, batch, applied)
        return applied - session.applied - skipped

    def _commit_all(self, ingester: Ingester, batch: list[Event], applied: int) -> int:
        done = 0
        while batch:
            done += self._commit(ingester, batch, applied + done)
        return done

    def _skip_to(self, conn: sqlite3.Connection, session: _Session, number: int) -> None:
        with gate_of(self._paths.gate).hold(WAIT_S):
            conn.execute("UPDATE sessions SET applied=? WHERE id=?", (number, session.id))

    def _commit(self, ingester: Ingester, batch: list[Event], applied: int) -> int:
        if self._stop():
            raise Stopped
        done = ingester.commit(batch, applied)
        del batch[:done]
        return done


def _records(left: list[journal.Left]) -> Iterator[tuple[int, Event]]:
    """Yield the records of a journal with their numbers."""
    for part in left:
        segment = part.read()
        for number, data in enumerate(segment.records() if segment else (), part.first):
            try:
                event = marshal.loads(data)
            except (ValueError, EOFError, TypeError):
                event = ()  # it keeps its number, and is counted as rejected
            yield number, event


def _time_of(event: Event) -> int:
    us = event[_US[event[0]]] if event and event[0] in _US else 0
    return us if isinstance(us, int) else 0


def _uids(folders: list[Path], uid_of: Callable[[str], str | None]) -> set[str]:
    return {
        uid
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
        if (uid := uid_of(entry.name))
    }
