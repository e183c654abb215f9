"""Taking an archived run into a store: checked like anything that comes from outside.

The archive's numbers mean nothing here: runs, tasks, sessions and loggers get new ones, and every
reference is translated. Uids stay, so the same run cannot come in twice.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from flowdeck_store.archive_check import check
from flowdeck_store.archive_sql import COPIES
from flowdeck_store.connection import WAIT_S, connect_rw, make_home
from flowdeck_store.errors import StoreCorrupt, StoreError
from flowdeck_store.paths import StorePaths
from flowdeck_store.reader_runs import COUNTERS
from flowdeck_store.side_door import transaction
from flowdeck_store.states import bucket

if TYPE_CHECKING:
    from pathlib import Path


class AlreadyRecorded(StoreError):
    """The archive holds a run that is in the store."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The numbers that the runs of an archive got; ``root`` is the run that was exported."""

    run_ids: tuple[int, ...]
    root: int


def import_run(home: Path, path: Path) -> Imported:
    """Take the run of an archive, with its subflow runs, into the store (created if need be).

    All of it or, on any error, nothing. Values are not in archives, so an imported run can be
    looked at and run again, but its task runs cannot be re-used.

    Raises:
        StoreCorrupt: the file is no archive, is damaged, or says impossible things.
        StoreTooNew: a newer flowdeck wrote it.
        AlreadyRecorded: a run of it is in the store.
        StoreBusy, StoreError, sqlite3.Error: the file is missing, or the store cannot be written.
    """
    if not path.is_file():
        raise StoreError(f"There is no file {path} to import.")
    paths = StorePaths(home)
    make_home(paths)
    with closing(connect_rw(paths)) as conn:
        try:
            conn.execute("PRAGMA trusted_schema=OFF")
            source = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
            conn.execute("ATTACH ? AS a", (source,))
            check(conn, path)
            conn.execute("CREATE TEMP TABLE runs(old INTEGER PRIMARY KEY, new INTEGER UNIQUE)")
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(path, str(error)) from error
        with transaction(conn, paths, WAIT_S):
            _refuse_known(conn, paths)
            return _copy(conn, path)


def _copy(conn: sqlite3.Connection, path: Path) -> Imported:
    try:
        for statement in COPIES.values():
            conn.execute(statement)
        _count_tasks(conn)
    except (sqlite3.IntegrityError, sqlite3.DataError) as error:
        raise StoreCorrupt(path, str(error)) from error
    numbers = conn.execute("SELECT new FROM temp.runs ORDER BY new").fetchall()
    ((expected,),) = conn.execute("SELECT count(*) FROM a.flow_runs").fetchall()
    if len(numbers) != expected:
        raise StoreCorrupt(path, "it refers to things that are not in it")
    return Imported(tuple(row[0] for row in numbers), numbers[0][0])


def _count_tasks(conn: sqlite3.Connection) -> None:
    """Count the task runs anew: what the archive says of itself is not to be trusted."""
    for (run_id,) in conn.execute("SELECT new FROM temp.runs").fetchall():
        counts = [0] * len(COUNTERS)
        rows = conn.execute(
            "SELECT state, state_name, count(*) FROM main.task_runs WHERE id BETWEEN ? AND ? "
            "GROUP BY 1, 2",
            (run_id << 24, run_id << 24 | 0xFFFFFF),
        ).fetchall()
        for code, named, count in rows:
            counts[bucket(code, named)] += count
        assignments = ", ".join(f"{column} = ?" for column in COUNTERS)
        conn.execute(f"UPDATE main.flow_runs SET {assignments} WHERE id = ?", (*counts, run_id))


def _refuse_known(conn: sqlite3.Connection, paths: StorePaths) -> None:
    row = conn.execute(
        "SELECT r.id, r.name, r.uid FROM main.flow_runs r JOIN a.flow_runs x ON x.uid = r.uid LIMIT 1"
    ).fetchall()
    if row:
        number, name, uid = row[0]
        raise AlreadyRecorded(f"{paths.db} has that run already: {number} ({name}), uid {uid}.")
