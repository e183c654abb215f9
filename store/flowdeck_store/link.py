"""A session's tie to the store file: connection, session row, and whether the file is still there."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Final

from flowdeck_store.connection import connect_rw, is_wal, naming_damage
from flowdeck_store.events import now_us
from flowdeck_store.gate import Gate, gate_of
from flowdeck_store.ingest import Ingester

if TYPE_CHECKING:
    from flowdeck_store.identity import Identity
    from flowdeck_store.paths import StorePaths
    from flowdeck_store.tuning import Tuning

# An existing row means that the file came back, or that this very session lost touch with it; an
# older copy may have applied less than the journal still has.
_REGISTER: Final = (
    "INSERT INTO sessions(uid,host,boot_id,pid,pid_start,started_us,beat_us,version,info,applied) "
    "VALUES(?,?,?,?,?,?,?,?,json_object('python',?),?) ON CONFLICT(uid) DO UPDATE SET "
    "beat_us=excluded.beat_us,ended_us=NULL,how=NULL,applied=max(applied,excluded.applied) "
    "RETURNING id,applied"
)
# A session with runs that did not end is left open: whoever recovers it makes them Crashed.
_END: Final = (
    "UPDATE sessions SET ended_us=?,beat_us=?,how='closed' WHERE id=? AND NOT EXISTS("
    "SELECT 1 FROM flow_runs WHERE session_id=sessions.id AND ended_us IS NULL)"
)


class StoreLink:
    """Opens the store for a session and notices when the file is no longer the one opened."""

    def __init__(self, paths: StorePaths, identity: Identity, tuning: Tuning) -> None:
        self.paths, self.identity = paths, identity
        self.gate: Gate = gate_of(paths.gate)
        self.session_id = 0
        self.wal = True
        self._tuning = tuning
        self._conn: sqlite3.Connection | None = None
        self._ingester: Ingester | None = None
        self._file: tuple[int, int] | None = None
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
        self.gate.refresh()
        me = self.identity
        conn = connect_rw(self.paths, written_by=me.version, timeout=self._tuning.busy)
        try:
            self._file = _file_id(self.paths)
            values = (me.uid, me.host, me.boot_id, me.pid, me.pid_start, me.started_us, now_us(),
                      me.version, me.python, lowest)  # fmt: skip
            with naming_damage(self.paths.db), self.gate.hold(self._tuning.busy):
                ((self.session_id, applied),) = conn.execute(_REGISTER, values).fetchall()
            self.wal = is_wal(conn)
        except BaseException:
            conn.close()
            raise
        self._conn = conn
        self._rejected_before = self.rejected
        self._ingester = Ingester(conn, self.gate.hold, self.session_id)
        return int(applied)

    def detach(self) -> None:
        """Close the connection, whatever state it is in."""
        conn, self._conn = self._conn, None
        if conn is not None:
            try:
                conn.close()
            except sqlite3.Error:
                pass  # a damaged or vanished file: nothing more can be done with it

    def in_place(self) -> bool:
        """Say whether the open file still is the one at the store's path.

        SQLite goes on writing into a deleted file without a word.
        """
        if self._file != _file_id(self.paths):
            return False
        return not self.wal or os.path.exists(f"{self.paths.db}-wal")

    def applied(self) -> int | None:
        """Read how many records of the journal the store holds; ``None``: it forgot the session."""
        query = "SELECT applied FROM sessions WHERE id=?"
        rows = self.conn.execute(query, (self.session_id,)).fetchall()
        return int(rows[0][0]) if rows else None

    def shrink_wal(self) -> None:
        """Merge a large write-ahead log into the file, unless a reader needs it."""
        if not self.wal or _size(f"{self.paths.db}-wal") < self._tuning.wal_bytes:
            return
        conn = self.conn
        with self.gate.hold():
            # A stuck reader must not make everybody wait at the gate.
            conn.execute("PRAGMA busy_timeout=0")
            try:
                conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                conn.execute(f"PRAGMA busy_timeout={int(self._tuning.busy * 1000)}")

    def beat(self) -> None:
        """Give a sign of life (other machines cannot see the liveness mark)."""
        with self.gate.hold():
            self.conn.execute(
                "UPDATE sessions SET beat_us=? WHERE id=?", (now_us(), self.session_id)
            )

    def end(self) -> None:
        """Note that the session ended by itself."""
        us = now_us()
        with self.gate.hold(self._tuning.busy):
            self.conn.execute(_END, (us, us, self.session_id))
            self.conn.execute("DELETE FROM slots WHERE session_id=?", (self.session_id,))


def _file_id(paths: StorePaths) -> tuple[int, int] | None:
    try:
        stat = os.stat(paths.db)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
