"""Taking an archived run into a store: checked like anything that comes from outside.

The archive's numbers mean nothing here: runs, tasks, sessions and loggers get new ones, and every
reference is translated. Uids stay, so the same run cannot come in twice.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from flowdeck_store.archive.artifact_rows import ArrivingArtifacts
from flowdeck_store.archive.check import LATER, check
from flowdeck_store.archive.kept import NO_FILES, Arriving, KeptFiles
from flowdeck_store.archive.sql import COPIES
from flowdeck_store.errors import BadArchive, BadFile, StoreError
from flowdeck_store.file.connection import WAIT_S, connect_rw, make_home, transaction
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.tables.ddl import COUNTERS
from flowdeck_store.ids import span_with_run
from flowdeck_store.safe import one_line
from flowdeck_store.states import bucket

if TYPE_CHECKING:
    from pathlib import Path


class AlreadyRecorded(BadFile):
    """The archive holds a run that is in the store."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The numbers that the runs of an archive got; ``root`` is the run that was exported, ``kept``
    the kept results that came along."""

    run_ids: tuple[int, ...]
    root: int
    kept: KeptFiles = NO_FILES


def import_run(home: Path, path: Path) -> Imported:
    """Take the run of an archive, with its subflow runs, into the store (created if need be).

    All of it or, on any error, nothing. Kept results in it come to lie below ``results/imported``:
    from there only what executes nothing is ever loaded.

    Raises:
        BadArchive: the file is no archive, is damaged, or says impossible things.
        StoreTooNew: a newer flowdeck wrote it.
        AlreadyRecorded: a run of it is in the store.
        StoreBusy, StoreError, sqlite3.Error: the file is missing, or the store or a kept result
            cannot be written.
    """
    if not path.is_file():
        raise BadFile(f"There is no file {path} to import.")
    paths = StorePaths(home)
    make_home(paths)
    with closing(connect_rw(paths)) as conn:
        try:
            conn.execute("PRAGMA trusted_schema=OFF")
            conn.create_function("cleaned", 1, _cleaned, deterministic=True)
            source = f"file:{quote(os.fsencode(path.absolute()))}?mode=ro&immutable=1"
            conn.execute("ATTACH ? AS a", (source,))
            check(conn, path)
            conn.execute("CREATE TEMP TABLE runs(old INTEGER PRIMARY KEY, new INTEGER UNIQUE)")
        except sqlite3.DatabaseError as error:
            raise BadArchive(path, str(error)) from error
        arriving = Arriving(conn, paths.results, path)
        artifacts = ArrivingArtifacts(conn, paths.artifacts, path)
        try:
            with transaction(conn, paths, WAIT_S):
                _refuse_known(conn, paths)
                imported = _copy(conn, path)
                artifacts.take_in()
                return replace(imported, kept=arriving.take_in())
        except BaseException as error:
            arriving.undo()
            artifacts.undo()
            if isinstance(error, OSError):
                raise StoreError(
                    f"The kept results in {path} cannot be written below {paths.home}: "
                    f"{error.strerror or error}."
                ) from error
            raise


def _cleaned(name: object) -> str | None:
    return None if name is None else one_line(str(name))


def _copy(conn: sqlite3.Connection, path: Path) -> Imported:
    try:
        found = {row[0] for row in conn.execute("SELECT name FROM a.sqlite_master").fetchall()}
        for step, statement in COPIES.items():
            if step not in LATER or step in found:  # archives of earlier versions lack tables
                conn.execute(statement)
        _count_tasks(conn)
    except (sqlite3.IntegrityError, sqlite3.DataError) as error:
        raise BadArchive(path, str(error)) from error
    numbers = conn.execute("SELECT new FROM temp.runs ORDER BY new").fetchall()
    ((expected,),) = conn.execute("SELECT count(*) FROM a.flow_runs").fetchall()
    if len(numbers) != expected:
        raise BadArchive(path, "it refers to things that are not in it")
    return Imported(tuple(row[0] for row in numbers), numbers[0][0])


def _count_tasks(conn: sqlite3.Connection) -> None:
    """Count the task runs anew: what the archive says of itself is not to be trusted."""
    for (run_id,) in conn.execute("SELECT new FROM temp.runs").fetchall():
        counts = [0] * len(COUNTERS)
        rows = conn.execute(
            "SELECT state, state_name, count(*) FROM main.task_runs WHERE id BETWEEN ? AND ? "
            "GROUP BY 1, 2",
            span_with_run(run_id),
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
