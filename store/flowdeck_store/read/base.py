"""The connection under a reader: opened late, checked against the file, errors in plain words."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from flowdeck_store.errors import ReadInterrupted, StoreBusy, StoreCorrupt, StoreError
from flowdeck_store.file.connection import WAIT_S, connect_ro
from flowdeck_store.file.file_id import FileId, file_id
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.trouble import FULL, kind_of
from flowdeck_store.query.language import Query, parse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from flowdeck_store.query.language import Subject

Row: TypeAlias = tuple[Any, ...]

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
#: The last one is what is said when the locks of the write-ahead log are not to be had for long.
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})


def at_most(limit: int) -> int:
    """Return what SQLite takes as ``LIMIT`` of a page; 0 is no limit, as on the command line."""
    return int(limit) or -1


class ReaderBase:
    """A read-only connection to one store that may not be there yet, or be replaced.

    Calls of one reader must not overlap (one reader a thread); :meth:`interrupt` may be called
    from any thread.
    """

    def __init__(self, home: Path, wait: float = WAIT_S) -> None:
        self.paths = StorePaths(home)
        self._wait = wait
        self._connection: sqlite3.Connection | None = None
        self._file: FileId | None = None
        self._guard = threading.Lock()  # interrupt() against close()
        self._closed = False
        self._generation = 0

    @property
    def home(self) -> Path:
        """The folder that holds the store."""
        return self.paths.home

    @property
    def exists(self) -> bool:
        """Whether there is a store (one without tables does not count)."""
        return self._current() is not None

    @property
    def generation(self) -> int:
        """Counts how often the file was opened: it changes when the store was replaced."""
        self._current()
        return self._generation

    def data_version(self) -> int:
        """Return a number that changes when another process writes; 0 without a store."""
        found = self._rows("PRAGMA data_version")
        return int(found[0][0]) if found else 0

    def interrupt(self) -> None:
        """End the read that runs now in another thread: it raises :class:`ReadInterrupted`.

        Does nothing when nothing runs, so ask again if the reader was only about to read.
        """
        with self._guard:
            if self._connection is not None:
                self._connection.interrupt()

    def close(self) -> None:
        """Close the file. Closing twice is fine; reading afterwards is an error."""
        self._closed = True
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _disconnect(self) -> None:
        with self._guard:
            connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            connection.close()

    def _current(self) -> sqlite3.Connection | None:
        """Return the open connection, or ``None`` when there is no store at the path now."""
        if self._closed:
            raise StoreError(f"This reader of {self.paths.db} is closed; open a new one.")
        there = file_id(self.paths.db)
        if there == self._file and self._connection is not None:
            return self._connection
        self._disconnect()
        if there is None:
            return None
        try:
            connection = connect_ro(self.paths, timeout=self._wait)
            if connection is not None and self._wait != WAIT_S:
                connection.execute(f"PRAGMA busy_timeout={int(WAIT_S * 1000)}")
        except sqlite3.Error as error:
            raise self._explained(error) from error
        with self._guard:
            self._connection, self._file = connection, there
        if connection is not None:
            self._generation += 1
        return connection

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one query and fetch everything: an open cursor would pin the write-ahead log."""
        connection = self._current()
        if connection is None:
            return []
        try:
            return connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            if "decode" in str(error):
                return self._rows_leniently(connection, sql, parameters)
            if _code(error) != sqlite3.SQLITE_IOERR:
                raise self._explained(error) from error
        return self._rows_anew(sql, parameters)

    def _rows_anew(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        """Open the file again: its write-ahead log was taken away under this connection."""
        self._disconnect()
        connection = self._current()
        try:
            return [] if connection is None else connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _rows_leniently(
        self, connection: sqlite3.Connection, sql: str, parameters: Sequence[object]
    ) -> list[Row]:
        """Read text that is not UTF-8 (a damaged row, a foreign writer) with replacement marks."""
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        try:
            return connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            connection.text_factory = str

    def _one(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        found = self._rows(sql, parameters)
        return found[0] if found else None

    def _explained(self, error: sqlite3.Error) -> StoreError:
        code = _code(error)
        if code == sqlite3.SQLITE_INTERRUPT:
            return ReadInterrupted("The read was interrupted.")
        if code in _BUSY:
            return StoreBusy(
                f"{self.paths.db} is locked by another program: {error}. Try again, or close "
                "other programs that have it open."
            )
        if code in _DAMAGED or "no such table" in str(error) or "no such column" in str(error):
            return StoreCorrupt(self.paths.db, str(error))
        if kind_of(error) == FULL:
            return StoreError(
                f"{self.paths.db} cannot be read: the disk is full, and reading needs 32 kB beside "
                f"it ({error}). Make some room and try again; what dead processes left is safe."
            )
        return StoreError(f"{self.paths.db} cannot be read: {error}.")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary error code; 0 for errors of Python's own making."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def as_query(query: Query | str | None, subject: Subject) -> Query:
    """Return a parsed query for text, and one that filters nothing for ``None``."""
    if query is None:
        return Query()
    return parse(query, subject) if isinstance(query, str) else query
