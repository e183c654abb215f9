"""Taking runs out of a store: every row of theirs, the values kept for them, their launch logs.

Writers wait while a transaction lasts, so each is small: five runs, or a slice of a big one.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import LiveRun
from flowdeck_store.file import artifact_files
from flowdeck_store.file.connection import WAIT_S, log_size, merge_log, transaction
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.ids import MAX_NUMBER, span_with_run, sql_id, sql_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths

RUNS_AT_ONCE: Final = 5
#: Rows that one transaction deletes at most, roughly (20 ms).
ROWS_AT_ONCE: Final = 20_000
_WAL_BYTES: Final = 16 << 20
_BY_RUN: Final = ("logs", "states", "failures", "control", "provenance", "samples")
_BY_TASK: Final = ("task_inputs", "results", "artifacts", "task_tags", "progress", "task_usage")
#: The cache has no index by task: one look for a group of runs.
_CACHE_OF: Final = f"FROM cache WHERE {sql_run('task')} IN (SELECT value FROM json_each(?))"
#: All subflow runs below the given ones, and these.
_FAMILY: Final = (
    "WITH RECURSIVE family(id) AS (SELECT value FROM json_each(?) UNION SELECT r.id FROM family "
    f"JOIN flow_runs r ON r.parent_task BETWEEN {sql_id('family.id', '0')} "
    f"AND {sql_id('family.id', str(MAX_NUMBER))}) "
    "SELECT r.id FROM family JOIN flow_runs r ON r.id = family.id ORDER BY r.id"
)


def family_of(conn: sqlite3.Connection, run_ids: Iterable[int]) -> list[int]:
    """Return those of the runs that exist and all subflow runs below them, by number."""
    rows = conn.execute(_FAMILY, (json.dumps(list(run_ids)),)).fetchall()
    return [row[0] for row in rows]


def refuse_live(conn: sqlite3.Connection, run_ids: Sequence[int]) -> None:
    """Raise :class:`LiveRun` if one of these runs has not ended."""
    rows = conn.execute(
        "SELECT id, name FROM flow_runs WHERE id IN (SELECT value FROM json_each(?)) "
        "AND ended_us IS NULL ORDER BY id LIMIT 1",
        (json.dumps(list(run_ids)),),
    ).fetchall()
    for run_id, name in rows:
        raise LiveRun(
            f"Run {run_id} ({name}) has not ended, so it cannot be deleted: cancel it first "
            f"(`flowdeck cancel {run_id}`) or wait for it."
        )


class Deletion:
    """Deletes runs of one store through one connection.

    Args:
        conn: opened for writing.
        paths: of the store.
    """

    def __init__(self, conn: sqlite3.Connection, paths: StorePaths) -> None:
        self._conn, self._paths = conn, paths
        self._locations: set[str] = set()
        self._hashes: set[bytes] = set()
        self._texts: set[bytes] = set()
        self._uids: set[str] = set()
        self.deleted: list[int] = []

    def delete(self, run_ids: Sequence[int]) -> None:
        """Delete these runs; whoever calls names the whole family.

        Raises:
            LiveRun: one of them goes on; those before it are gone.
            StoreBusy, sqlite3.Error: the store cannot be written; those before are gone.
        """
        group: list[int] = []
        rows = 0
        for run_id in run_ids:
            size = self._size(run_id)
            if size > ROWS_AT_ONCE:
                self._drain(run_id)
                size = 0
            if group and (len(group) == RUNS_AT_ONCE or rows + size > ROWS_AT_ONCE):
                self._delete_group(group)
                group, rows = [], 0
            group.append(run_id)
            rows += size
        if group:
            self._delete_group(group)

    def _size(self, run_id: int) -> int:
        """Roughly how many rows a run has."""
        row = self._conn.execute(
            "SELECT n_logs, (SELECT count(*) FROM (SELECT 1 FROM task_runs "
            "WHERE id BETWEEN ? AND ? LIMIT ?)) FROM flow_runs WHERE id = ?",
            (*span_with_run(run_id), ROWS_AT_ONCE, run_id),
        ).fetchall()
        return row[0][0] + 6 * row[0][1] if row else 0

    def _drain(self, run_id: int) -> None:
        """Delete most of a big run in slices, so that nobody waits for the whole of it."""
        self._note_leftovers([run_id])
        for table in ("logs", "states"):
            deleted = ROWS_AT_ONCE
            while deleted == ROWS_AT_ONCE:
                with self._write():
                    refuse_live(self._conn, [run_id])
                    deleted = self._conn.execute(
                        f"DELETE FROM {table} WHERE seq IN "
                        f"(SELECT seq FROM {table} WHERE run_id = ? LIMIT ?)",
                        (run_id, ROWS_AT_ONCE),
                    ).rowcount
        low, high = span_with_run(run_id)
        rows = self._conn.execute(
            "SELECT max(id) FROM task_runs WHERE id BETWEEN ? AND ?", (low, high)
        ).fetchall()
        step = ROWS_AT_ONCE // 4
        for start in range(low, (rows[0][0] or low) + 1, step):
            with self._write():
                refuse_live(self._conn, [run_id])
                for table in _BY_TASK:
                    self._delete_tasks(table, start, min(start + step - 1, high))
                self._conn.execute(
                    "DELETE FROM task_runs WHERE id BETWEEN ? AND ?",
                    (start, min(start + step - 1, high)),
                )

    def _delete_group(self, run_ids: list[int]) -> None:
        with self._write():
            refuse_live(self._conn, run_ids)
            self._note_leftovers(run_ids)
            self._conn.execute(f"DELETE {_CACHE_OF}", (json.dumps(run_ids),))
            for run_id in run_ids:
                self._delete_rows(run_id)
        self.deleted += run_ids

    def _delete_rows(self, run_id: int) -> None:
        low, high = span_with_run(run_id)
        for table in _BY_RUN:
            self._conn.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
        for table in _BY_TASK:
            self._delete_tasks(table, low, high)
        self._conn.execute("DELETE FROM task_runs WHERE id BETWEEN ? AND ?", (low, high))
        self._conn.execute(
            "UPDATE task_runs SET child_run = NULL WHERE child_run = ? AND id = "
            "(SELECT parent_task FROM flow_runs WHERE id = ?)",
            (run_id, run_id),
        )
        self._conn.execute(
            "DELETE FROM slots WHERE run_uid = (SELECT uid FROM flow_runs WHERE id = ?)", (run_id,)
        )
        self._conn.execute("DELETE FROM flow_runs WHERE id = ?", (run_id,))

    def _delete_tasks(self, table: str, low: int, high: int) -> None:
        self._conn.execute(f"DELETE FROM {table} WHERE task BETWEEN ? AND ?", (low, high))

    def _note_leftovers(self, run_ids: list[int]) -> None:
        """Remember kept values, tracebacks and launch logs that may be nobody's afterwards."""
        cached = self._conn.execute(f"SELECT location {_CACHE_OF}", (json.dumps(run_ids),))
        self._locations.update(row[0] for row in cached.fetchall())
        for run_id in run_ids:
            rows = self._conn.execute(
                "SELECT DISTINCT location FROM results "
                "WHERE task BETWEEN ? AND ? AND location IS NOT NULL",
                span_with_run(run_id),
            ).fetchall()
            self._locations.update(row[0] for row in rows)
            rows = self._conn.execute(
                "SELECT DISTINCT tb FROM failures WHERE run_id = ? AND tb IS NOT NULL", (run_id,)
            ).fetchall()
            self._hashes.update(row[0] for row in rows)
            rows = self._conn.execute(
                "SELECT DISTINCT text FROM provenance WHERE run_id = ? AND text IS NOT NULL",
                (run_id,),
            ).fetchall()
            self._texts.update(row[0] for row in rows)
            rows = self._conn.execute(
                "SELECT uid FROM flow_runs WHERE id = ?", (run_id,)
            ).fetchall()
            for (uid,) in rows:
                self._uids.add(uid)
                for kind in ("log", "json"):
                    self._remove(self._paths.launches, f"{uid}.{kind}")

    def finish(self) -> tuple[int, int]:
        """Remove what nobody refers to any more; return how many files and bytes went."""
        self._delete_tracebacks()
        self._delete_texts()
        files = freed = 0
        for location in sorted(self._locations - self._still_used()):
            size = self._remove(self._paths.results, location)
            files += size is not None
            freed += size or 0
        for uid in sorted(self._uids):
            count, size = artifact_files.remove(self._paths.artifacts, uid)
            files, freed = files + count, freed + size
        return files, freed

    def _still_used(self) -> set[str]:
        """A cached task run refers to the value that an earlier run has kept."""
        wanted = json.dumps(sorted(self._locations))
        found: set[str] = set()
        for table in ("results", "cache"):
            rows = self._conn.execute(
                f"SELECT DISTINCT location FROM {table} "
                "WHERE location IN (SELECT value FROM json_each(?))",
                (wanted,),
            ).fetchall()
            found.update(row[0] for row in rows)
        return found

    def _delete_tracebacks(self) -> None:
        """Delete tracebacks without failures, unless a process may refer to one without looking.

        A recording process stores each traceback once and remembers that it did; taking one away
        under it would make its next failure unwritable.
        """
        hashes = [(key,) for key in self._hashes]
        for start in range(0, len(hashes), ROWS_AT_ONCE):
            with self._write():
                self._conn.executemany(
                    "DELETE FROM tracebacks WHERE hash = ? "
                    "AND NOT EXISTS (SELECT 1 FROM failures WHERE tb = tracebacks.hash) "
                    "AND NOT EXISTS (SELECT 1 FROM sessions WHERE ended_us IS NULL)",
                    hashes[start : start + ROWS_AT_ONCE],
                )

    def _delete_texts(self) -> None:
        """Delete texts of provenance that no run refers to: whoever records one sends it along."""
        hashes = [(key,) for key in self._texts]
        for start in range(0, len(hashes), ROWS_AT_ONCE):
            with self._write():
                self._conn.executemany(
                    "DELETE FROM texts WHERE hash = ? "
                    "AND NOT EXISTS (SELECT 1 FROM provenance WHERE text = texts.hash)",
                    hashes[start : start + ROWS_AT_ONCE],
                )

    def _remove(self, folder: Path, name: str) -> int | None:
        """Remove a file below ``folder``; return its size, ``None`` if there was none."""
        target = folder / name
        if not name or not target.resolve().is_relative_to(folder.resolve()):
            return None  # a record from elsewhere must not name files of ours
        try:
            size = os.stat(target).st_size
            os.unlink(target)
        except OSError:
            return None
        return size

    def _write(self) -> AbstractContextManager[None]:
        shrink_wal(self._conn, self._paths)
        return transaction(self._conn, self._paths, WAIT_S)


def shrink_wal(conn: sqlite3.Connection, paths: StorePaths) -> None:
    """Merge a large write-ahead log into the file, under the write lock."""
    if log_size(paths) >= _WAL_BYTES:
        with write_lock_of(paths.write_lock).hold(WAIT_S):
            merge_log(conn, WAIT_S)
