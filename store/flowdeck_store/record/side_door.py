"""A second connection of a session, for short calls that other threads make and wait for."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowdeck_store.file.connection import connect_rw, transaction
from flowdeck_store.file.file_id import file_id
from flowdeck_store.file.forking import inside_sqlite
from flowdeck_store.file.write_lock import write_lock_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.file.paths import StorePaths


class SideDoor:
    """One lazily opened connection, one caller at a time.

    Args:
        paths: of the store.
        timeout: how long a call waits for locks, in seconds.
    """

    def __init__(self, paths: StorePaths, timeout: float) -> None:
        self._paths, self._timeout = paths, timeout
        self._write_lock = write_lock_of(paths.write_lock)
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
        """Give the connection inside the write lock and a transaction, committed on leaving.

        Raises:
            StoreError, sqlite3.Error, OSError: the store cannot be written; nothing was.
        """
        with self.reading() as conn, transaction(conn, self._paths, self._timeout):
            yield conn

    def close(self) -> None:
        """Close the connection, if there is one; the next call opens it again."""
        with self._lock:
            self._drop()

    def abandon(self) -> None:
        """In a forked child: use neither the lock nor the connection of the parent again."""
        self._lock = threading.Lock()

    def _opened(self) -> sqlite3.Connection:
        here = file_id(self._paths.db)
        if self._conn is not None and here != self._file:
            self._drop()  # deleted or replaced meanwhile
        if self._conn is None:
            self._conn = connect_rw(self._paths, timeout=self._timeout)
            self._file = file_id(self._paths.db)
        return self._conn

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()
