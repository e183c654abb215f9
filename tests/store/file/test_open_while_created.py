"""A reader that opens the store in the very moment in which another process creates it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_store.errors import StoreCorrupt
from flowdeck_store.file import schema

if TYPE_CHECKING:
    from pathlib import Path


class Overtaken:
    """A connection whose file gets its tables between two of its statements."""

    def __init__(self, conn: sqlite3.Connection, path: Path) -> None:
        self._conn, self._path = conn, path
        self._created = False

    def execute(self, sql: str) -> Any:
        if "sqlite_master" in sql and not self._created:
            self._created = True
            with closing(sqlite3.connect(self._path, isolation_level=None)) as other:
                schema.migrate(other, written_by="another process")
        return self._conn.execute(sql)


def test_a_store_that_is_created_meanwhile_is_no_other_programs_file(tmp_path: Path) -> None:
    path = tmp_path / "flowdeck.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        overtaken: Any = Overtaken(conn, path)
        assert schema.version_of(overtaken, path) == schema.SCHEMA_VERSION


def test_another_programs_file_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "flowdeck.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("CREATE TABLE theirs(x)")
        with pytest.raises(StoreCorrupt, match="another program"):
            schema.version_of(conn, path)
