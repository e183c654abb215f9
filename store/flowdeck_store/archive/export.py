"""One run (with its subflow runs) as a file of its own, and back.

The file is a store like any other, so everything that reads stores reads it. It holds the record
and, by choice, kept values (:mod:`flowdeck_store.archive.kept`); cache entries and pending requests
stay behind. Importing never runs, unpickles or overwrites anything.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flowdeck_store.archive.artifact_rows import put_in_artifacts
from flowdeck_store.archive.intake import Imported, import_run
from flowdeck_store.archive.kept import NO_FILES, KeptFiles, put_in
from flowdeck_store.errors import LiveRun, NotFound, StoreError
from flowdeck_store.file import schema
from flowdeck_store.file.connection import WAIT_S, connect_ro
from flowdeck_store.file.new_file import new_file
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.ids import span_with_run, sql_run
from flowdeck_store.upkeep import liveness
from flowdeck_store.upkeep.deletion import family_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Exported", "Imported", "export_run", "import_run"]

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
    "texts": f"hash IN (SELECT text FROM src.provenance WHERE {_OF_RUN})",
    "provenance": _OF_RUN,
    "samples": _OF_RUN,
}
#: Tables whose key is (or begins with) the packed task id: a range for each run of the family.
_RANGES: Final = {
    "task_runs": "id",
    "task_inputs": "task",
    "results": "task",
    "artifacts": "task",
    "task_tags": "task",
    "progress": "task",
    "task_usage": "task",
}
#: What another machine could not use, or must not believe.
_LEFT_OUT: Final = (
    "UPDATE results SET location = NULL;"
    "UPDATE sessions SET ended_us = coalesce(ended_us, beat_us), how = coalesce(how, 'exported');"
    f"UPDATE flow_runs SET parent_task = NULL WHERE {sql_run('parent_task')} NOT IN "
    "(SELECT id FROM flow_runs);"
)


@dataclass(frozen=True, slots=True)
class Exported:
    """The size of an archive in bytes, and which kept results are in it."""

    size: int
    kept: KeptFiles


def export_run(
    home: Path,
    run_id: int,
    path: Path,
    *,
    written_by: str = "flowdeck",
    replace: bool = False,
    redacted: bool = False,
    results_bytes: int | None = None,
) -> Exported:
    """Write a run and its subflow runs into a new file, private to the user (0600).

    Args:
        home: the folder of the store.
        run_id: number of the run.
        path: the file to create.
        written_by: what to note in the file.
        replace: whether a file of that name may be replaced.
        redacted: leave out all values: parameters, inputs, results, variables.
        results_bytes: put the kept results in too, the small ones first, up to so many bytes of
            files; ``None``: none.

    Raises:
        ValueError: ``redacted`` and ``results_bytes`` are both given.
        NotFound: there is no such run.
        LiveRun: it, or one of its subflow runs, has not ended.
        StoreError: ``path`` exists or cannot be written, or the store cannot be read.
    """
    if redacted and results_bytes is not None:
        raise ValueError("A redacted archive holds no values.")
    paths = StorePaths(home)
    liveness.recover(home)
    family = _ended_family(paths, run_id)
    try:
        with new_file(path, replace=replace) as part:
            kept = _write(paths, family, part, written_by, redacted, results_bytes)
    except sqlite3.Error as error:
        raise StoreError(f"The run cannot be exported to {path}: {error}.") from error
    return Exported(os.stat(path).st_size, kept)


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


def _write(
    paths: StorePaths,
    family: list[int],
    target: Path,
    written_by: str,
    redacted: bool,
    results_bytes: int | None,
) -> KeptFiles:
    kept = NO_FILES
    uri = f"file:{quote(os.fsencode(target.absolute()))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)) as conn:
        schema.migrate(conn, written_by=written_by)
        source = f"file:{quote(os.fsencode(paths.db.absolute()))}?mode=ro"
        conn.execute("ATTACH ? AS src", (source,))
        conn.execute("CREATE TEMP TABLE family(id INTEGER PRIMARY KEY)")
        conn.executemany("INSERT INTO family VALUES(?)", [(number,) for number in family])
        conn.execute("BEGIN")  # one snapshot of the source for all tables
        there = {row[0] for row in conn.execute("SELECT name FROM src.sqlite_master").fetchall()}
        for table, key in _RANGES.items():
            if table not in there:
                continue  # an older store, which no writer has brought up yet
            copy = f"{_copy_of(conn, table)} WHERE {key} BETWEEN ? AND ?"
            conn.executemany(copy, [span_with_run(run) for run in family])
        for table, condition in _ROWS.items():
            if table in there:
                conn.execute(f"{_copy_of(conn, table)} WHERE {condition}")
        conn.execute("INSERT INTO meta(key, value) VALUES('archive', 1)")
        if not redacted:
            put_in_artifacts(conn, paths)
        if results_bytes is not None:
            kept = put_in(conn, paths, family, results_bytes)
        conn.execute("COMMIT")
        conn.executescript(_LEFT_OUT)
        conn.execute("DETACH src")
        if redacted:
            from flowdeck_store.archive.redact import redact

            redact(conn)
    return kept


def _copy_of(conn: sqlite3.Connection, table: str) -> str:
    # The columns of ours by name: a newer store may have more of them, in another order.
    found = conn.execute(f"PRAGMA main.table_info({table})").fetchall()
    columns = ", ".join(row[1] for row in found)
    return f"INSERT INTO main.{table}({columns}) SELECT {columns} FROM src.{table}"
