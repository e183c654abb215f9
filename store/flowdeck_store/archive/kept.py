"""Kept results in archives: the files of values, for those who ask for them, in two tables beside the
record's own, which a flowdeck that does not know them ignores.

``kept_files`` has the files as they were, ``kept_results`` which task run's result is in which. An
import gives each file a name and place of its own below ``results/imported``, from where nothing is
ever unpickled; what the archive calls a file plays no part.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import BadArchive
from flowdeck_store.file import kept
from flowdeck_store.ids import span_with_run, sql_id, sql_number, sql_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths

#: Bytes of a file that a row can hold (SQLite's bound is 1,000,000,000).
_MOST_OF_ONE: Final = 900_000_000
_TABLES: Final = {"kept_files": ("id", "data"), "kept_results": ("task", "file")}
_CREATE: Final = (
    "CREATE TABLE kept_files(id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
    "CREATE TABLE kept_results(task INTEGER PRIMARY KEY, file INTEGER NOT NULL) STRICT",
)
_TASK: Final = sql_id("m.new", f"({sql_number('k.task')})")
_PLACE: Final = (
    "UPDATE main.results SET location = ?, size = ? WHERE task IN "
    f"(SELECT {_TASK} FROM a.kept_results k "
    f"JOIN temp.runs m ON m.old = {sql_run('k.task')} WHERE k.file = ?)"
)


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """How many files of kept results an archive holds, their bytes, and how many stayed behind:
    ``too_big`` for the bound, ``gone`` (deleted, damaged)."""

    count: int = 0
    bytes: int = 0
    too_big: int = 0
    gone: int = 0


NO_FILES: Final = KeptFiles()


def put_in(
    conn: sqlite3.Connection, paths: StorePaths, family: Iterable[int], most_bytes: int
) -> KeptFiles:
    """Copy the kept results of runs into an archive, the small ones first.

    Args:
        conn: of the archive, with the record attached as ``src``.
        paths: of the record.
        family: the numbers of the runs.
        most_bytes: of all files together.

    Raises:
        sqlite3.Error: the archive cannot be written.
    """
    for statement in _CREATE:
        conn.execute(statement)
    places: dict[str, list[int]] = {}
    for run_id in family:
        rows = conn.execute(
            "SELECT task, location FROM src.results "
            "WHERE task BETWEEN ? AND ? AND location IS NOT NULL",
            span_with_run(run_id),
        ).fetchall()
        for task, location in rows:
            places.setdefault(location, []).append(task)
    sizes = {location: _size(paths.results, location) for location in places}
    count = total = too_big = 0
    gone = sum(size is None for size in sizes.values())
    there = ((size, location) for location, size in sizes.items() if size is not None)
    for size, location in sorted(there):
        if size > _MOST_OF_ONE or total + size > most_bytes:
            too_big += 1
            continue
        content = _content(paths.results, location)
        if content is None:
            gone += 1
            continue
        count += 1
        total += len(content)
        conn.execute("INSERT INTO kept_files VALUES(?, ?)", (count, content))
        conn.executemany(
            "INSERT INTO kept_results VALUES(?, ?)", [(task, count) for task in places[location]]
        )
    return KeptFiles(count, total, too_big, gone)


def _size(folder: Path, location: str) -> int | None:
    path = kept.path_of(folder, location)
    try:
        return None if path is None else os.stat(path).st_size
    except OSError:
        return None


def _content(folder: Path, location: str) -> bytes | None:
    """Return a file whole; ``None``: it is gone or damaged."""
    path = kept.path_of(folder, location)
    try:
        content = path.read_bytes() if path is not None else b""
        kept.checked(content)
    except (OSError, kept.DamagedValue):
        return None
    return content


class Arriving:
    """Puts the kept results of an archive below the results of a store.

    Args:
        conn: of the store, with the archive attached as ``a`` and the numbers of its runs translated
            in ``temp.runs``.
        results: the folder.
        path: of the archive, for messages.
    """

    def __init__(self, conn: sqlite3.Connection, results: Path, path: Path) -> None:
        self._conn, self._results, self._path = conn, results, path
        self._written: list[str] = []

    def take_in(self) -> KeptFiles:
        """Write the files and say in the record where they are.

        Raises:
            BadArchive: one of them is no file of a kept result.
            OSError: a file cannot be written; :meth:`undo` removes the others.
            sqlite3.Error: the archive cannot be read.
        """
        if not self._is_there():
            return NO_FILES
        total = 0
        files = "SELECT DISTINCT k.file FROM a.kept_results k JOIN a.results r ON r.task = k.task"
        for (number,) in self._conn.execute(files).fetchall():
            content = self._content_of(number)
            location = kept.new_location(imported=True)
            self._written.append(location)
            kept.write(self._results, location, content)
            total += len(content)
            header = kept.header_of(content)
            assert header is not None
            self._conn.execute(_PLACE, (location, len(content) - header.length, number))
        return KeptFiles(len(self._written), total)

    def undo(self) -> None:
        """Remove what was written: the store did not take the archive in."""
        for location in self._written:
            with suppress(OSError):
                os.unlink(self._results / location)

    def _is_there(self) -> bool:
        names = self._conn.execute(
            "SELECT name FROM a.sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
        ).fetchall()
        if not {name for (name,) in names}.issuperset(_TABLES):
            return False
        for table, columns in _TABLES.items():
            found = [
                (row[1], row[6])
                for row in self._conn.execute(f"PRAGMA a.table_xinfo({table})").fetchall()
            ]
            if found != [(name, 0) for name in columns]:
                raise BadArchive(self._path, f"its table {table} has other columns")
        return True

    def _content_of(self, number: int) -> bytes:
        rows = self._conn.execute(
            "SELECT data FROM a.kept_files WHERE id = ? AND typeof(data) = 'blob'", (number,)
        ).fetchall()
        try:
            content = bytes(rows[0][0])
            kept.checked(content)
        except (IndexError, kept.DamagedValue):
            raise BadArchive(self._path, "a kept result in it is missing or damaged") from None
        return content
