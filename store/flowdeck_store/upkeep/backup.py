"""A copy of the whole record while flows write into it.

SQLite makes it, in one read transaction: nobody waits, and what is in the copy was in the record at
one moment. Copying the files by other means tears them apart: the newest events are in the
write-ahead log, and both change while they are read.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_store.errors import NotFound, StoreError
from flowdeck_store.file.connection import connect_ro
from flowdeck_store.file.new_file import new_file
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.upkeep import liveness

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was made."""

    path: Path
    bytes: int
    runs: int  # flow runs in it


def back_up(home: Path, path: Path, *, replace: bool = False) -> Backup:
    """Copy the record into a file (0600), also while flows run. Kept results are not in it.

    To use it, name it ``flowdeck.db`` in an empty folder and set ``FLOWDECK_HOME`` to that.

    Args:
        home: the folder of the store.
        path: the file to create.
        replace: whether a file of that name may be replaced, once the copy is complete.

    Raises:
        NotFound: there is nothing to copy.
        StoreError, sqlite3.Error: the record cannot be read, or ``path`` not be written.
    """
    paths = StorePaths(home)
    if path.exists() and paths.db.exists() and os.path.samefile(path, paths.db):
        raise StoreError(f"{path} is the record itself: choose another name.")
    liveness.recover(home)
    conn = connect_ro(paths)
    if conn is None:
        raise NotFound(f"There is nothing to copy: no record is at {paths.db}.")
    with closing(conn), new_file(path, replace=replace) as part:
        runs = _copy(conn, part)
    return Backup(path, os.stat(path).st_size, runs)


def _copy(conn: sqlite3.Connection, part: Path) -> int:
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        try:
            conn.backup(copy)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise StoreError(f"{part.parent} has no room for the copy: {error}.") from error
            raise
        ((wrong,), *_) = copy.execute("PRAGMA quick_check(1)").fetchall()
        if wrong != "ok":
            raise StoreError(f"The copy is damaged ({wrong}); `flowdeck doctor` checks the record.")
        ((runs,),) = copy.execute("SELECT count(*) FROM flow_runs").fetchall()
        return int(runs)
