"""One run (with its subflow runs) as a file of its own, and back.

The file is a store like any other, so everything that reads stores reads it. It holds the record
and nothing else: kept values, cache entries and pending requests stay behind. Importing never runs,
unpickles or overwrites anything.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flowdeck_store import liveness, schema
from flowdeck_store.archive_import import Imported, import_run
from flowdeck_store.connection import WAIT_S, connect_ro
from flowdeck_store.deletion import family_of
from flowdeck_store.errors import LiveRun, NotFound, StoreError
from flowdeck_store.paths import StorePaths

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Imported", "export_run", "import_run"]

_OF_RUN: Final = "run_id IN (SELECT id FROM family)"
#: What is copied, all at once; what belongs to task runs comes before their definitions.
_ROWS: Final = {
    "flows": "id IN (SELECT flow_id FROM src.flow_runs WHERE id IN (SELECT id FROM family))",
    "sessions": "id IN (SELECT session_id FROM src.flow_runs WHERE id IN (SELECT id FROM family))",
    "flow_runs": "id IN (SELECT id FROM family)",
    "tasks": "id IN (SELECT task_id FROM main.task_runs)",
    "states": _OF_RUN,
    "logs": _OF_RUN,
    "log_sources": "id IN (SELECT src FROM main.logs)",
    "tracebacks": f"hash IN (SELECT tb FROM src.failures WHERE {_OF_RUN})",
    "failures": _OF_RUN,
}
#: Tables whose key is (or begins with) the packed task id: a range for each run of the family.
_RANGES: Final = {"task_runs": "id", "task_inputs": "task", "results": "task", "artifacts": "task"}
#: What another machine could not use, or must not believe.
_LEFT_OUT: Final = (
    "UPDATE results SET location = NULL;"
    "UPDATE sessions SET ended_us = coalesce(ended_us, beat_us), how = coalesce(how, 'exported');"
    "UPDATE flow_runs SET parent_task = NULL WHERE parent_task >> 24 NOT IN "
    "(SELECT id FROM flow_runs);"
)


def export_run(home: Path, run_id: int, path: Path, *, written_by: str = "flowdeck") -> int:
    """Write a run and its subflow runs into a new file, private to the user (0600).

    Args:
        home: the folder of the store.
        run_id: number of the run.
        path: the file to create.
        written_by: what to note in the file.

    Returns:
        The size of the file in bytes.

    Raises:
        NotFound: there is no such run.
        LiveRun: it, or one of its subflow runs, has not ended.
        StoreError: ``path`` exists or cannot be written, or the store cannot be read.
    """
    paths = StorePaths(home)
    liveness.recover(home)
    family = _ended_family(paths, run_id)
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        if path.exists():
            raise StoreError(f"{path} exists already: choose another name or remove it.")
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _write(paths, family, part, written_by)
        _publish(part, path)
        return os.stat(path).st_size
    except FileExistsError as error:
        raise StoreError(f"{path} exists already, or {error.filename}: remove it.") from error
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"The run cannot be exported to {path}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)


def _publish(part: Path, path: Path) -> None:
    """Give the finished file its name, without ever replacing another."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network folders)
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from None
        os.rename(part, path)


def _ended_family(paths: StorePaths, run_id: int) -> list[int]:
    conn = connect_ro(paths)
    if conn is None:
        raise NotFound(f"There is no run {run_id}: there is no store at {paths.db}.")
    with closing(conn):
        family = family_of(conn, [run_id])
        if not family:
            raise NotFound(f"There is no run {run_id} in {paths.db}.")
        live = conn.execute(
            "SELECT id, name FROM flow_runs WHERE ended_us IS NULL "
            "AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(family),),
        ).fetchall()
    if live:
        number, name = live[0]
        raise LiveRun(f"Run {number} ({name}) has not ended: export it when it has.")
    return family


def _write(paths: StorePaths, family: list[int], target: Path, written_by: str) -> None:
    uri = f"file:{quote(str(target.absolute()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)) as conn:
        schema.migrate(conn, written_by=written_by)
        source = f"file:{quote(str(paths.db.absolute()))}?mode=ro"
        conn.execute("ATTACH ? AS src", (source,))
        conn.execute("CREATE TEMP TABLE family(id INTEGER PRIMARY KEY)")
        conn.executemany("INSERT INTO family VALUES(?)", [(number,) for number in family])
        conn.execute("BEGIN")  # one snapshot of the source for all tables
        for table, key in _RANGES.items():
            copy = f"{_copy_of(conn, table)} WHERE {key} BETWEEN ? AND ?"
            conn.executemany(copy, [(run << 24, run << 24 | 0xFFFFFF) for run in family])
        for table, condition in _ROWS.items():
            conn.execute(f"{_copy_of(conn, table)} WHERE {condition}")
        conn.execute("INSERT INTO meta(key, value) VALUES('archive', 1)")
        conn.execute("COMMIT")
        conn.executescript(_LEFT_OUT)
        conn.execute("DETACH src")


def _copy_of(conn: sqlite3.Connection, table: str) -> str:
    # The columns of ours by name: a newer store may have more of them, in another order.
    found = conn.execute(f"PRAGMA main.table_info({table})").fetchall()
    columns = ", ".join(row[1] for row in found)
    return f"INSERT INTO main.{table}({columns}) SELECT {columns} FROM src.{table}"
