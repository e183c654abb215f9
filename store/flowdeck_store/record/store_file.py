"""A session's tie to the store file: connection, session row, and whether the file is still there."""

from __future__ import annotations

import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store.events import now_us
from flowdeck_store.file import close_guard
from flowdeck_store.file.connection import (
    connect_rw,
    is_wal,
    log_size,
    merge_log,
    naming_damage,
    transaction,
)
from flowdeck_store.file.file_id import file_id
from flowdeck_store.file.write_lock import WriteLock, write_lock_of
from flowdeck_store.record import fencing
from flowdeck_store.record.ingest import Ingester

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.file.identity import Identity
    from flowdeck_store.file.paths import StorePaths
    from flowdeck_store.record.tuning import Tuning

# An existing row means that the file came back, or that this very session lost touch with it; an
# older copy may have applied less than the journal still has.
_REGISTER: Final = (
    "INSERT INTO sessions(uid,host,boot_id,pid,pid_start,started_us,beat_us,version,info,applied) "
    "VALUES(?,?,?,?,?,?,?,?,json_object('python',?),?) ON CONFLICT(uid) DO UPDATE SET "
    "beat_us=excluded.beat_us,applied=max(applied,excluded.applied) "
    "RETURNING id,applied"
)
# A session with runs that did not end is left open: whoever recovers it makes them Crashed.
_END: Final = (
    "UPDATE sessions SET ended_us=?,beat_us=?,how='closed' WHERE id=? AND NOT EXISTS("
    "SELECT 1 FROM flow_runs WHERE session_id=sessions.id AND ended_us IS NULL)"
)

_TRIES: Final = 10
_BREATH_S: Final = 0.02


class StoreFile:
    """Opens the store for a session and notices when the file is no longer the one opened.

    Args:
        paths: of the store.
        identity: of this process.
        tuning: figures.
        on_reopened: told the uids of runs that somebody had ended because the session seemed dead.
    """

    def __init__(
        self,
        paths: StorePaths,
        identity: Identity,
        tuning: Tuning,
        on_reopened: Callable[[list[str]], None],
    ) -> None:
        self.paths, self.identity = paths, identity
        self.write_lock: WriteLock = write_lock_of(paths.write_lock)
        self.session_id = 0
        self.wal = True
        self._tuning = tuning
        self._conn: sqlite3.Connection | None = None
        self._ingester: Ingester | None = None
        self._file: tuple[int, int] | None = None
        self._wal_file: tuple[int, int] | None = None
        self._guard = close_guard.CloseGuard()
        self._on_reopened = on_reopened
        self._rejected_before = 0

    @property
    def conn(self) -> sqlite3.Connection:
        """The open connection; only while :attr:`attached`."""
        assert self._conn is not None
        return self._conn

    @property
    def ingester(self) -> Ingester:
        """Commits events; only while :attr:`attached`."""
        assert self._ingester is not None
        return self._ingester

    @property
    def attached(self) -> bool:
        """Whether the store is open and the session registered in it."""
        return self._conn is not None

    @property
    def rejected(self) -> int:
        """How many events could not be recorded at all."""
        now = self._ingester.rejected if self._ingester is not None else 0
        return self._rejected_before + now

    def run_number(self, uid: str) -> int | None:
        """Return the number of a run of this session, if the store has given it one."""
        return self._ingester.known.runs.get(uid) if self._ingester is not None else None

    def attach(self, lowest: int) -> int:
        """Open (create, migrate) the store and register the session.

        Args:
            lowest: number of the oldest record that the journal still has.

        Returns:
            How many records of the journal the store holds.

        Raises:
            StoreCorrupt, StoreTooNew, StoreBusy, sqlite3.Error, OSError: it cannot be written.
        """
        for _ in range(_TRIES):
            try:
                return self._attach(lowest)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_IOERR:
                    raise
                # After somebody deleted the write-ahead log: as long as another connection of this
                # process (its recovery) has the old one's index, a new one does not fit it.
                time.sleep(_BREATH_S)
        return self._attach(lowest)

    def _attach(self, lowest: int) -> int:
        self.write_lock.refresh()
        me = self.identity
        conn = connect_rw(self.paths, written_by=me.version, timeout=self._tuning.busy)
        try:
            self._file = file_id(self.paths.db)
            values = (me.uid, me.host, me.boot_id, me.pid, me.pid_start, me.started_us, now_us(),
                      me.version, me.python, lowest)  # fmt: skip
            with naming_damage(self.paths.db), self.write_lock.hold(self._tuning.busy):
                ((self.session_id, applied),) = conn.execute(_REGISTER, values).fetchall()
            self.wal = is_wal(conn)
            if self.wal:
                self._guard.hold(self.paths)
                self._wal_file = file_id(f"{self.paths.db}-wal")
            self._conn = conn
            if fencing.was_declared_dead(conn, self.session_id):
                self.reopen()
        except BaseException:
            self._conn = conn
            self.detach()
            raise
        self._rejected_before = self.rejected
        self._ingester = Ingester(conn, self.write_lock.hold, self.session_id)
        return int(applied)

    def reopen(self) -> None:
        """Take the session's place back if it was declared dead; its process lock must be held.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be written.
        """
        with transaction(self.conn, self.paths, self._tuning.busy):
            uids = fencing.take_back(self.conn, self.session_id)
        self._on_reopened(uids)

    def is_declared_dead(self) -> bool:
        """Say whether another process ended this session."""
        return fencing.was_declared_dead(self.conn, self.session_id)

    def detach(self) -> None:
        """Close the connection, whatever state it is in."""
        conn, self._conn = self._conn, None
        if conn is None:
            return
        lost = not self.in_place()
        if not lost:
            self._guard.drop()
        try:
            if lost and sys.version_info >= (3, 12):
                conn.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
            # What is in a write-ahead log that is no longer in its place must not be merged into
            # the file: with our guard still there, SQLite does not take us for the last user.
            conn.close()
        except sqlite3.Error:
            pass  # a damaged or vanished file: nothing more can be done with it
        self._guard.drop()
        close_guard.sweep()

    def in_place(self) -> bool:
        """Say whether the open files still are those at the store's path.

        SQLite goes on writing into a deleted file without a word.
        """
        if self._file != file_id(self.paths.db):
            return False
        return not self.wal or self._wal_file == file_id(f"{self.paths.db}-wal")

    def applied(self) -> int | None:
        """Read how many records of the journal the store holds; ``None``: it forgot the session."""
        query = "SELECT applied FROM sessions WHERE id=?"
        rows = self.conn.execute(query, (self.session_id,)).fetchall()
        return int(rows[0][0]) if rows else None

    def make_room(self) -> bool:
        """On a full disk: merge the write-ahead log into the file; say whether that freed space.

        Raises:
            sqlite3.Error, OSError: not even that is possible.
        """
        if not self.attached:
            return False
        before = log_size(self.paths)
        self.shrink_wal(1)
        return log_size(self.paths) < before

    def shrink_wal(self, most: int | None = None) -> None:
        """Merge a large write-ahead log into the file, unless a reader needs it."""
        most = self._tuning.wal_bytes if most is None else most
        if not self.wal or log_size(self.paths) < most:
            return
        conn = self.conn
        with self.write_lock.hold():
            if not self.in_place():
                return  # merging the pages of another file into this one would ruin it
            merge_log(conn, self._tuning.busy)

    def beat(self) -> None:
        """Give a sign of life (other machines cannot see the process lock)."""
        with self.write_lock.hold():
            self.conn.execute(
                "UPDATE sessions SET beat_us=? WHERE id=?", (now_us(), self.session_id)
            )

    def end(self) -> None:
        """Note that the session ended by itself."""
        us = now_us()
        with self.write_lock.hold(self._tuning.busy):
            self.conn.execute(_END, (us, us, self.session_id))
            self.conn.execute("DELETE FROM slots WHERE session_id=?", (self.session_id,))
