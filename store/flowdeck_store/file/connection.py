"""Opening the store: permissions, pragmas, schema, clear errors.

Never open the database file by other means in a process that has it connected (hashing, copying,
sniffing): closing that descriptor would drop SQLite's POSIX locks on it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flowdeck_store.errors import StoreCorrupt, StoreError, StoreUnwritable
from flowdeck_store.file import earlier_version, schema
from flowdeck_store.file.tables.ddl import LATER_TABLES
from flowdeck_store.file.write_lock import write_lock_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths

#: How long to wait for the write lock and for SQLite's lock by default, in seconds.
WAIT_S: Final = 5.0
_MIN_SQLITE: Final = (3, 37, 0)
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def make_home(paths: StorePaths) -> None:
    """Create the home folder and those below it, private to the user (0700).

    A home that exists but is read-only is no error here.

    Raises:
        StoreUnwritable: it cannot be created.
    """
    try:
        paths.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnwritable(paths.home, error.strerror or str(error)) from error
    for folder in (paths.journal, paths.locks):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            pass  # whoever wants to write there meets the same error and can act on it


def connect_rw(
    paths: StorePaths, *, written_by: str = "flowdeck", timeout: float = WAIT_S
) -> sqlite3.Connection:
    """Open the store for writing; create or migrate it first if need be.

    The connection is in autocommit mode (``isolation_level=None``) and may be used from any one
    thread at a time. Writers hold ``write_lock_of(paths.write_lock)`` around every write transaction.

    Args:
        paths: where the store is; its home must exist (:func:`make_home`).
        written_by: what to note in the store when this call creates or migrates it.
        timeout: how long to wait for locks, in seconds (also the connection's busy timeout).

    Raises:
        StoreCorrupt: the file is no store, or damaged.
        StoreTooNew: a newer flowdeck wrote it.
        StoreBusy: another process is creating it, or holds the write lock, for longer than ``timeout``.
        sqlite3.OperationalError: locked by another program, full, or read-only.
        OSError: the file cannot be created.
    """
    _require_sqlite()
    if not paths.db.exists():
        _create_file(paths, timeout)
    conn = _connect(paths.db, "rw", timeout)
    try:
        with naming_damage(paths.db):
            version = _checked_version(conn, paths.db, reading=False)
            if version < schema.SCHEMA_VERSION:
                _migrate_gated(conn, paths, written_by, timeout)
            _tune(conn)
    except BaseException:
        conn.close()
        raise
    return conn


def connect_ro(paths: StorePaths, *, timeout: float = WAIT_S) -> sqlite3.Connection | None:
    """Open the store for reading only; ``None`` when there is none yet (or it is still empty).

    ``fetchall`` every query: a cursor that is not exhausted pins the write-ahead log.

    Raises:
        StoreCorrupt: the file is no store, or damaged.
        StoreTooNew: a newer flowdeck wrote it and says that this one cannot read it.
        sqlite3.OperationalError: locked by another program, or not readable.
    """
    _require_sqlite()
    if not paths.db.exists():
        return None
    conn = _connect(paths.db, "ro", timeout)
    try:
        with naming_damage(paths.db):
            conn, version = _readable(conn, paths, timeout)
            conn.execute("PRAGMA temp_store=memory")
            if 0 < version < schema.SCHEMA_VERSION:
                _add_missing(conn, version)
            conn.execute("PRAGMA query_only=1")
            conn.execute("PRAGMA cache_size=-16000")
    except BaseException:
        conn.close()
        raise
    if version == 0:
        conn.close()
        return None
    return conn


def _readable(
    conn: sqlite3.Connection, paths: StorePaths, timeout: float
) -> tuple[sqlite3.Connection, int]:
    """Return a connection that can read, and the schema version."""
    try:
        return conn, _checked_version(conn, paths.db, reading=True)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}:
            raise
    # A read-only folder without -wal and -shm files: nobody writes, so read it as it is.
    conn.close()
    conn = _connect(paths.db, "ro&immutable=1", timeout)
    return conn, _checked_version(conn, paths.db, reading=True)


@contextmanager
def transaction(conn: sqlite3.Connection, paths: StorePaths, timeout: float) -> Iterator[None]:
    """Hold the write lock and a write transaction; commit on leaving, roll back on an exception.

    Args:
        conn: a connection of :func:`connect_rw`.
        paths: of the same store.
        timeout: how long to wait for the write lock, in seconds.

    Raises:
        StoreBusy: the write lock was held for longer than ``timeout`` seconds.
        sqlite3.Error: the store cannot be written.
    """
    with write_lock_of(paths.write_lock).hold(timeout):
        conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            conn.execute("COMMIT")
        except BaseException:
            if conn.in_transaction:
                conn.execute("ROLLBACK")
            raise


@contextmanager
def writing(paths: StorePaths, wait: float = WAIT_S) -> Iterator[sqlite3.Connection]:
    """Give a connection of its own inside a write transaction, see :func:`transaction`.

    Args:
        paths: where the store is; its home must exist (:func:`make_home`).
        wait: how long to wait for each lock, in seconds.

    Raises:
        StoreError, sqlite3.Error, OSError: the store cannot be opened or written; nothing was.
    """
    with closing(connect_rw(paths, timeout=wait)) as conn, transaction(conn, paths, wait):
        yield conn


def log_size(paths: StorePaths) -> int:
    """Return the size of the write-ahead log in bytes, 0 if there is none."""
    try:
        return os.stat(f"{paths.db}-wal").st_size
    except OSError:
        return 0


def merge_log(conn: sqlite3.Connection, busy: float) -> None:
    """Merge the write-ahead log into the file unless a reader needs it; under the write lock only.

    Args:
        conn: a connection of :func:`connect_rw`.
        busy: the connection's busy timeout in seconds, which does not count here: a stuck reader
            must not make everybody wait for the write lock.
    """
    conn.execute("PRAGMA busy_timeout=0")
    try:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        conn.execute(f"PRAGMA busy_timeout={int(busy * 1000)}")


def is_wal(conn: sqlite3.Connection) -> bool:
    """Say whether the file is in write-ahead-log mode (some network file systems refuse it)."""
    (mode,) = conn.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def _add_missing(conn: sqlite3.Connection, version: int) -> None:
    """Let reads find the tables that an older store lacks (empty), until a writer brings it up."""
    for since, tables in LATER_TABLES.items():
        if version < since:
            conn.executescript(tables)


def _connect(path: Path, mode: str, timeout: float) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False
    )


def _checked_version(conn: sqlite3.Connection, path: Path, *, reading: bool) -> int:
    version = schema.version_of(conn, path)
    schema.refuse_newer(conn, path, version, reading=reading)
    return version


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Turn SQLite's errors about a damaged file into :class:`StoreCorrupt`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF in _DAMAGED:
            raise StoreCorrupt(path, str(error)) from error
        raise


def _create_file(paths: StorePaths, timeout: float) -> None:
    """Create the empty file with mode 0600; SQLite's -wal and -shm take over its mode."""
    try:
        with write_lock_of(paths.write_lock).hold(timeout):
            os.close(os.open(paths.db, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass  # another process was faster


def _migrate_gated(
    conn: sqlite3.Connection, paths: StorePaths, written_by: str, timeout: float
) -> None:
    with write_lock_of(paths.write_lock).hold(timeout):
        # Takes effect only in a file that is still empty, so before anything else.
        conn.execute("PRAGMA auto_vacuum=INCREMENTAL")
        # Under the write lock: while somebody writes, this pragma fails without waiting.
        conn.execute("PRAGMA journal_mode=WAL")
        version = _checked_version(conn, paths.db, reading=False)
        if version < schema.SCHEMA_VERSION:
            if version:
                earlier_version.keep_copy(conn, paths.db, version)
            schema.migrate(conn, written_by=written_by)


def _tune(conn: sqlite3.Connection) -> None:
    conn.executescript(
        "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0; PRAGMA foreign_keys=ON;"
        "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16000;"
        "PRAGMA temp_store=memory; PRAGMA secure_delete=OFF;"
    )


def _require_sqlite() -> None:
    if sqlite3.sqlite_version_info < _MIN_SQLITE:
        raise StoreError(
            f"flowdeck needs SQLite 3.37 or newer; this Python has {sqlite3.sqlite_version}. "
            "Use a newer Python build; those from python.org bring their own SQLite."
        )
