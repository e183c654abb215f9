"""Schema version, migrations, and the refusal of files that are not ours or from the future."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreCorrupt, StoreTooNew
from flowdeck_store.file.tables.ddl import (
    FLOWS_V2,
    INDEXES_V1,
    PROGRESS_V5,
    PROVENANCE_V4,
    TABLES_V1,
    TASK_TAGS_V3,
    USAGE_V5,
)
from flowdeck_store.file.tables.ingest_ddl import DROP_INGEST, INGEST_TRIGGER, INGEST_VIEW
from flowdeck_store.file.tables.views import VIEWS_V6

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database, Migrations

#: ``PRAGMA user_version`` of a store that this code writes.
SCHEMA_VERSION: Final = 6
#: The oldest code that can read such a store, by the version that it writes.
MIN_READER: Final = 1
#: ``PRAGMA application_id``: "fldw".
APPLICATION_ID: Final = 0x666C6477


def version_of(conn: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of an open file; 0 when it is empty.

    Raises:
        StoreCorrupt: it is a database of something else.
        sqlite3.DatabaseError: it cannot be read (``NOTADB`` when it is no database at all).
    """
    # Twice: another process may create the tables after our first look at the application id.
    for _ in range(2):
        (app_id,) = conn.execute("PRAGMA application_id").fetchone()
        (version,) = conn.execute("PRAGMA user_version").fetchone()
        if app_id == APPLICATION_ID:
            return int(version)
        (tables,) = conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables and not app_id:
            return 0
    raise StoreCorrupt(path, "it is an SQLite database of another program")


def written_version(path: Path) -> int:
    """Return the schema version that stands in a file's head; 0: there is none, or it tells nothing.

    Only for sentences: SQLite is not asked, and what is still in the write-ahead log is not known here.
    """
    try:
        with path.open("rb") as file:
            head = file.read(72)
    except OSError:
        return 0
    is_ours = head[:15] == b"SQLite format 3" and head[68:72] == APPLICATION_ID.to_bytes(4, "big")
    return int.from_bytes(head[60:64], "big") if is_ours else 0


def refuse_newer(conn: sqlite3.Connection, path: Path, version: int, *, reading: bool) -> None:
    """Raise :class:`StoreTooNew` if this code must not touch a file of that version.

    A newer store may still be read when its writer said that this version can (``min_reader``).
    """
    if version <= SCHEMA_VERSION:
        return
    meta = dict(conn.execute("SELECT key, value FROM meta").fetchall())
    min_reader = meta.get("min_reader")
    if reading and isinstance(min_reader, int) and min_reader <= SCHEMA_VERSION:
        return
    written_by = meta.get("written_by")
    raise StoreTooNew(path, version, SCHEMA_VERSION, str(written_by) if written_by else None)


def migrate(conn: sqlite3.Connection, *, written_by: str) -> None:
    """Bring an open file to :data:`SCHEMA_VERSION`; the caller holds the write lock.

    Everything happens in one ``BEGIN IMMEDIATE`` transaction: a second process that waited for it
    finds nothing left to do, and a failure leaves the file as it was.

    Raises:
        sqlite3.Error: the file is locked, full, read-only or damaged.
    """
    # Not at module level: importing sqlite_utils costs 140 ms, and only the first process of a
    # store (or of a new version) needs it.
    from sqlite_utils import Database

    conn.execute("PRAGMA foreign_keys=OFF")  # a table is replaced; what refers to it stays
    database = Database(conn, recursive_triggers=False, execute_plugins=False)
    conn.execute("BEGIN IMMEDIATE")
    try:
        _migrations().apply(database)
        conn.execute(f"PRAGMA application_id={APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        _describe(conn, written_by)
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:
            conn.execute("ROLLBACK")
        raise


def _migrations() -> Migrations:
    """The ordered migrations; each is plain SQL because ``transform()`` would drop triggers."""
    from sqlite_utils import Migrations

    migrations = Migrations("flowdeck")

    def run(db: Database, *scripts: str) -> None:
        for script in scripts:
            for statement in _statements(script):
                db.execute(statement)

    @migrations(name="0001_first_schema")
    def first_schema(db: Database) -> None:
        run(db, TABLES_V1, INDEXES_V1)

    @migrations(name="0002_flows_by_name")
    def flows_by_name(db: Database) -> None:
        run(db, DROP_INGEST, FLOWS_V2)

    @migrations(name="0003_task_tags")
    def task_tags(db: Database) -> None:
        run(db, DROP_INGEST, TASK_TAGS_V3)

    @migrations(name="0004_provenance")
    def provenance(db: Database) -> None:
        run(db, DROP_INGEST, PROVENANCE_V4)

    @migrations(name="0005_seeing_inside")
    def seeing_inside(db: Database) -> None:
        run(db, DROP_INGEST, PROGRESS_V5, USAGE_V5, INGEST_VIEW, INGEST_TRIGGER)

    @migrations(name="0006_public_views")
    def public_views(db: Database) -> None:
        run(db, VIEWS_V6)

    return migrations


def _statements(script: str) -> Iterator[str]:
    """Split a script at the ends of its statements (a script run as a whole would commit)."""
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        if line.endswith(";") and sqlite3.complete_statement("\n".join(lines)):
            yield "\n".join(lines)
            lines.clear()
    if lines:
        yield "\n".join(lines)


def _describe(conn: sqlite3.Connection, written_by: str) -> None:
    """Keep in ``meta`` who wrote the schema and which readers understand it."""
    conn.executemany(
        "INSERT OR IGNORE INTO meta(key, value) VALUES(?, ?)",
        [("db_uid", os.urandom(16).hex()), ("created_us", time.time_ns() // 1000)],
    )
    conn.executemany(
        "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)",
        [("written_by", written_by), ("min_reader", MIN_READER)],
    )
