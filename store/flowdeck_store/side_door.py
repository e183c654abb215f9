"""A second connection of a session, for short calls that other threads make and wait for."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowdeck_store.connection import connect_rw
from flowdeck_store.forking import inside_sqlite
from flowdeck_store.gate import gate_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.paths import StorePaths


class SideDoor:
    """One lazily opened connection, one caller at a time.

    Args:
        paths: of the store.
        timeout: how long a call waits for locks, in seconds.
    """

    def __init__(self, paths: StorePaths, timeout: float) -> None:
        self._paths, self._timeout = paths, timeout
        self._gate = gate_of(paths.gate)
        self._lock = threading.Lock()
        self._conn: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for a read.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be opened or read.
        """
        with self._lock, inside_sqlite():
            conn = self._opened()
            try:
                yield conn
            except sqlite3.Error:
                self._drop()
                raise

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection inside the gate and a transaction, committed on leaving.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be written; nothing was.
        """
        with self.reading() as conn, transaction(conn, self._paths, self._timeout):
            yield conn

    def close(self) -> None:
        with self._lock:
            self._drop()

    def abandon(self) -> None:
        """In a forked child: use neither the lock nor the connection of the parent again."""
        self._lock = threading.Lock()

    def _opened(self) -> sqlite3.Connection:
        here = _file_id(self._paths)
        if self._conn is not None and here != self._file:
            self._drop()  # deleted or replaced meanwhile
        if self._conn is None:
            self._conn = connect_rw(self._paths, timeout=self._timeout)
            self._file = _file_id(self._paths)
        return self._conn

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()


@contextmanager
def transaction(conn: sqlite3.Connection, paths: StorePaths, timeout: float) -> Iterator[None]:
    """Hold the gate and a write transaction; commit on leaving, roll back on an exception.

    Raises:
        StoreBusy: the gate was held for longer than ``timeout`` seconds.
        sqlite3.Error: the store cannot be written.
    """
    with gate_of(paths.gate).hold(timeout):
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise


def _file_id(paths: StorePaths) -> tuple[int, int] | None:
    try:
        stat = os.stat(paths.db)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
