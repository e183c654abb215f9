"""What dead processes left: replay their journals exactly once, end their runs.

There is no server that would notice a process that died, so whoever looks next does: a flow that
starts, the app, a command. Several may look at once, any of them may be killed in the middle, and
the dead one may turn out to live. Two things make that safe. Whoever recovers a session holds its
process lock meanwhile, so nobody else does, and a living session cannot be recovered at all. And the
store counts how many records it has (``sessions.applied``), in the very transaction that adds them,
so that a recovery that is itself killed is simply continued by the next.

The order follows: replay the journal, end the runs (in one transaction, at the time of the last sign
of life, so that durations stay true a day later), force it to the disk, delete the journal, delete
the lock's file. Whoever is killed between two of these steps leaves the rest to the next.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store import kills
from flowdeck_store.file import process_lock
from flowdeck_store.file.connection import WAIT_S, connect_rw, transaction
from flowdeck_store.file.identity import Identity, host_name
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.journal import chain, fallback
from flowdeck_store.journal.durability import sync_log
from flowdeck_store.record import crash, fencing
from flowdeck_store.upkeep.replay import MissingEvents, Replay

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths

_SESSION: Final = (
    "SELECT id,pid,host,applied,ended_us IS NOT NULL,how IS 'crashed' FROM sessions WHERE uid=?"
)
_ADD_SESSION: Final = (
    "INSERT INTO sessions(uid,host,boot_id,pid,pid_start,started_us,beat_us,version,applied) "
    "VALUES(?,?,?,?,?,?,?,?,?)"
)
_SAY_MISSING: Final = "UPDATE flow_runs SET state_msg=coalesce(state_msg||' ','')||? WHERE uid=?"
_LAST_SAMPLE: Final = "SELECT memory FROM samples WHERE worker='' AND run_id IN"
_NEWEST: Final = "ORDER BY us DESC LIMIT 1"
_OPEN_RUNS: Final = "SELECT id,state FROM flow_runs WHERE session_id=? AND ended_us IS NULL"


class Stopped(Exception):
    """The caller wants to end; what is not recovered yet is left to the next."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A session that was recovered."""

    session_uid: str
    pid: int  # 0: nothing is left that says
    host: str
    events: int  # replayed from its journal
    run_ids: tuple[int, ...]  # flow runs that were ended (Crashed, or Cancelled if asked for)
    tasks: int  # task runs that were ended with them
    missing: MissingEvents  # what its journal should have, and has not


@dataclass(frozen=True, slots=True)
class _Session:
    id: int
    pid: int
    host: str
    applied: int
    ended: bool
    declared_dead: bool


class Recovery:
    """Recovers dead sessions of one store.

    Args:
        paths: of the store.
        stop: asked between batches whether to end early.
        wait: how long to wait for each lock, in seconds.
    """

    def __init__(
        self, paths: StorePaths, stop: Callable[[], bool] = lambda: False, wait: float = WAIT_S
    ) -> None:
        self._paths, self._stop, self._wait = paths, stop, wait
        self._journals = fallback.folders(paths, paths.journal)
        self._locks = fallback.folders(paths, paths.locks)

    def left_behind(self) -> set[str]:
        """Return the uids of sessions that have a process lock or a journal but no living process."""
        found = _uids(self._locks, process_lock.uid_of) | _uids(self._journals, chain.uid_of)
        return {uid for uid in found if not self.is_held(uid)}

    def is_held(self, uid: str) -> bool:
        """Say whether a living process holds the process lock of a session."""
        return process_lock.is_held_in(self._locks, uid)

    def session(self, uid: str) -> Recovered | None:
        """Recover one dead session; ``None`` if it lives, or if there was nothing to recover.

        Raises:
            Stopped: the caller wants to end.
            StoreError, sqlite3.Error, OSError: the store cannot be written; nothing is lost.
        """
        lock = self._seize(uid)
        if lock is None:
            return None
        done = False
        try:
            with closing(connect_rw(self._paths, timeout=self._wait)) as conn:
                recovered, damaged = self._recover(conn, uid)
                sync_log(self._paths)  # the journal goes: what it held must survive a power loss
            chain.delete_left(self._journals, uid, damaged)
            done = True
        finally:
            lock.release(delete=done)
        return recovered

    def _seize(self, uid: str) -> process_lock.ProcessLock | None:
        for folder in self._locks:
            if (folder / f"{uid}{process_lock.SUFFIX}").exists():
                return process_lock.seize(folder, uid)
        return process_lock.seize(self._paths.locks, uid)

    def _recover(
        self, conn: sqlite3.Connection, uid: str
    ) -> tuple[Recovered | None, Sequence[Path]]:
        """Do it; return what was done, and the damaged segments."""
        left = chain.find_left(self._journals, uid)
        session = self._session_row(conn, uid, left)
        if session is None:
            garbled = [part.path for part in left if part.is_damaged]
            gone = MissingEvents(events=1, is_exact=False, kept=garbled)
            return (Recovered(uid, 0, "", 0, (), 0, gone) if garbled else None), garbled

        def reopen() -> None:
            if session.declared_dead:
                # Wrongly, and it died before it noticed: what came after that belongs to its runs.
                with transaction(conn, self._paths, self._wait):
                    fencing.take_back(conn, session.id)

        replay = Replay(conn, self._paths, session.id, self._wait, self._go_on, reopen)
        replayed = replay.run(left, session.applied)
        missing = replay.missing
        if session.ended and not replayed and not missing.events:
            return None, missing.kept  # it ended by itself, and only its files were left
        return self._end(conn, uid, session, replayed, missing), missing.kept

    def _end(
        self,
        conn: sqlite3.Connection,
        uid: str,
        session: _Session,
        replayed: int,
        missing: MissingEvents,
    ) -> Recovered:
        """End the session and its runs at its last sign of life."""
        with transaction(conn, self._paths, self._wait):
            query = "SELECT beat_us FROM sessions WHERE id=?"
            ((beat_us,),) = conn.execute(query, (session.id,)).fetchall()
            rows = conn.execute(_OPEN_RUNS, (session.id,)).fetchall()
            runs = [crash.OpenRun(*row) for row in rows]
            message = crash.message(session.pid, session.host)
            message += self._of_memory(conn, session, runs, beat_us)
            tasks = crash.end_runs(conn, runs, message, beat_us)
            conn.execute("DELETE FROM slots WHERE session_id=?", (session.id,))
            conn.execute(
                "UPDATE sessions SET ended_us=coalesce(ended_us,?),how=coalesce(how,?) WHERE id=?",
                (beat_us, "crashed", session.id),
            )
            conn.executemany(
                _SAY_MISSING,
                [(f"{missing.count(n)} missing.", run) for run, n in missing.runs.items()],
            )
        return Recovered(
            uid, session.pid, session.host, replayed, tuple(run.id for run in runs), tasks,
            missing,
        )  # fmt: skip

    def _of_memory(
        self,
        conn: sqlite3.Connection,
        session: _Session,
        runs: Sequence[crash.OpenRun],
        beat_us: int,
    ) -> str:
        """Return what is known of the memory of the process: its last sample, and what the kernel says."""
        if not runs:
            return ""
        marks = ",".join("?" * len(runs))
        sample = conn.execute(
            f"{_LAST_SAMPLE} ({marks}) {_NEWEST}", [run.id for run in runs]
        ).fetchone()
        if session.host != host_name():
            return kills.said(sample[0] if sample else None, None)
        certain = kills.kernel_names(session.pid, beat_us / 1e6)
        return kills.said(sample[0] if sample else None, kills.memory_limit(), certain=certain)

    def _session_row(
        self, conn: sqlite3.Connection, uid: str, left: list[chain.LeftSegment]
    ) -> _Session | None:
        """Return the session's row; make one if only its journal got as far as the disk."""
        rows = conn.execute(_SESSION, (uid,)).fetchall()
        if not rows and left and left[0].is_readable:
            me = Identity.from_dict(left[0].info)
            values = (uid, me.host, me.boot_id, me.pid, me.pid_start, me.started_us,
                      me.started_us, me.version, left[0].first)  # fmt: skip
            with write_lock_of(self._paths.write_lock).hold(self._wait):
                conn.execute(_ADD_SESSION, values)
            rows = conn.execute(_SESSION, (uid,)).fetchall()
        return _Session(*rows[0]) if rows else None

    def _go_on(self) -> None:
        if self._stop():
            raise Stopped


def _uids(folders: list[Path], uid_of: Callable[[str], str | None]) -> set[str]:
    return {
        uid
        for folder in folders
        if folder.is_dir()
        for entry in folder.iterdir()
        if (uid := uid_of(entry.name))
    }
