"""Keeping a store small: which runs may go, deleting them, giving the space back."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import NotFound
from flowdeck_store.events import now_us as _now_us
from flowdeck_store.file.connection import WAIT_S, connect_ro, connect_rw
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.tables.ddl import COUNTERS
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.ids import sql_run
from flowdeck_store.upkeep import liveness
from flowdeck_store.upkeep.deletion import Deletion, family_of, refuse_live, shrink_wal

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

DAY_US: Final = 86_400_000_000
#: Bytes that a run, a task run and a log line take in the file (measured, indexes included).
_RUN_BYTES, _TASK_BYTES, _LOG_BYTES = 300, 250, 120
#: Pages that one turn at the write lock gives back (1 MB, 35 ms): writers wait meanwhile.
_PAGES: Final = 250
_TASKS: Final = " + ".join(COUNTERS)
# Newest first within a flow; a subflow run whose parent is gone stands on its own.
_CANDIDATES: Final = (
    "SELECT id FROM (SELECT r.id, r.ended_us, r.state, r.pinned, "
    "row_number() OVER (PARTITION BY r.flow_id ORDER BY r.id DESC) AS nth FROM flow_runs r "
    f"LEFT JOIN flow_runs p ON p.id = {sql_run('r.parent_task')} "
    "WHERE r.parent_task IS NULL OR p.id IS NULL) "
    "WHERE ended_us < ? AND nth > ? AND pinned = 0 AND NOT (? AND state IN (4, 5)) ORDER BY id"
)
# Whether a run must stay, and how much there is of it. One pass for all: a store may hold 100,000.
_FIGURES: Final = f"SELECT id, pinned <> 0 OR ended_us IS NULL, {_TASKS}, n_logs FROM flow_runs"
_CHILDREN: Final = (
    f"SELECT c.id, {sql_run('c.parent_task')} FROM flow_runs c JOIN flow_runs p "
    f"ON p.id = {sql_run('c.parent_task')} WHERE c.parent_task IS NOT NULL AND p.id < c.id"
)
_KEPT_BYTES: Final = (
    f"SELECT {sql_run('task')}, coalesce(sum(size), 0) FROM results "
    "WHERE location IS NOT NULL GROUP BY 1"
)


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What a prune would take out."""

    run_ids: tuple[int, ...]  # subflow runs included
    roots: int  # how many of them are no subflow runs
    task_runs: int
    logs: int
    bytes: int  # roughly, kept values included
    kept: tuple[int, ...] = ()  # old enough, but live or pinned, or with such a subflow run


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was taken out. ``freed`` counts bytes of removed files and of the shrunk database."""

    run_ids: tuple[int, ...]
    files: int
    freed: int


def plan(
    home: Path,
    *,
    keep_days: float | None = None,
    keep_last: int | None = None,
    keep_failed: bool = False,
    now_us: int | None = None,
) -> PrunePlan:
    """Say which runs may go. A run goes when every rule that is given lets it go.

    Args:
        home: the folder of the store.
        keep_days: keep runs that ended in the last so many days.
        keep_last: keep the newest so many runs of each flow.
        keep_failed: keep failed and crashed runs.
        now_us: the time to count the days from (default: now).

    Pinned runs, runs that have not ended and families with such a run stay. Subflow runs go with
    the run that called them, and only with it.

    Raises:
        ValueError: neither ``keep_days`` nor ``keep_last`` is given, or one is negative.
        StoreError, sqlite3.Error: the store cannot be opened.
    """
    if keep_days is None and keep_last is None:
        raise ValueError("say what to keep: keep_days, keep_last or both")
    if (keep_days or 0) < 0 or (keep_last or 0) < 0:
        raise ValueError("keep_days and keep_last cannot be negative")
    paths = StorePaths(home)
    now = _now_us() if now_us is None else now_us
    before = 2**62 if keep_days is None else now - round(keep_days * DAY_US)
    opened = connect_ro(paths)
    if opened is None:
        return PrunePlan((), 0, 0, 0, 0)
    with closing(opened) as conn:
        rows = conn.execute(_CANDIDATES, (before, keep_last or 0, keep_failed)).fetchall()
        return _planned(conn, [row[0] for row in rows])


def _planned(conn: sqlite3.Connection, roots: list[int]) -> PrunePlan:
    figures = {row[0]: row[1:] for row in conn.execute(_FIGURES).fetchall()}
    values = dict(conn.execute(_KEPT_BYTES).fetchall())
    children: dict[int, list[int]] = {}
    for child, parent in conn.execute(_CHILDREN).fetchall():
        children.setdefault(parent, []).append(child)
    run_ids: list[int] = []
    kept: list[int] = []
    for root in roots:
        family = _family(root, children)
        if any(figures[run_id][0] for run_id in family):
            kept.append(root)
        else:
            run_ids += family
    tasks = sum(figures[run_id][1] for run_id in run_ids)
    logs = sum(figures[run_id][2] for run_id in run_ids)
    size = _RUN_BYTES * len(run_ids) + _TASK_BYTES * tasks + _LOG_BYTES * logs
    size += sum(values.get(run_id, 0) for run_id in run_ids)
    return PrunePlan(tuple(run_ids), len(roots) - len(kept), tasks, logs, size, tuple(kept))


def _family(root: int, children: dict[int, list[int]]) -> list[int]:
    found = [root]
    for run_id in found:  # grows while it is walked
        found += children.get(run_id, ())
    return found


def prune(
    home: Path,
    *,
    keep_days: float | None = None,
    keep_last: int | None = None,
    keep_failed: bool = False,
    dry_run: bool = False,
    now_us: int | None = None,
) -> PruneReport:
    """Delete the runs that :func:`plan` names and give their space back.

    Args:
        home: the folder of the store.
        keep_days: see :func:`plan`, as the two that follow.
        keep_last: see there.
        keep_failed: see there.
        dry_run: delete nothing: the report says what would go (``freed`` is an estimate).
        now_us: see :func:`plan`.

    Raises:
        ValueError: see :func:`plan`.
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    if not dry_run:
        liveness.recover(home)
    planned = plan(
        home, keep_days=keep_days, keep_last=keep_last, keep_failed=keep_failed, now_us=now_us
    )
    if dry_run or not planned.run_ids:
        return PruneReport(planned.run_ids, 0, planned.bytes)
    report = _delete(StorePaths(home), planned.run_ids)
    return PruneReport(report.run_ids, report.files, report.freed + vacuum(home))


def delete_runs(home: Path, ids: Iterable[int]) -> PruneReport:
    """Delete these runs, their subflow runs and the values kept for them.

    All or nothing as far as refusals go: when one must stay, none is deleted. Values that other
    runs or the cache still refer to stay.

    Raises:
        NotFound: one of them is not in the store.
        LiveRun: one of them, or a subflow run below, has not ended.
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return PruneReport((), 0, 0)
    if not paths.db.exists():
        raise NotFound(f"There is no run {wanted[0]}: there is no store at {paths.db}.")
    liveness.recover(home)
    with closing(connect_rw(paths)) as conn:
        family = family_of(conn, wanted)
        missing = [run_id for run_id in wanted if run_id not in set(family)]
        if missing:
            raise NotFound(f"There is no run {missing[0]} in {paths.db}.")
        refuse_live(conn, family)
    return _delete(paths, tuple(family))


def _delete(paths: StorePaths, run_ids: tuple[int, ...]) -> PruneReport:
    with closing(connect_rw(paths)) as conn:
        deletion = Deletion(conn, paths)
        try:
            deletion.delete(run_ids)
        finally:
            files, freed = deletion.finish()
        return PruneReport(tuple(deletion.deleted), files, freed)


def vacuum(home: Path) -> int:
    """Give the free pages of the file back, a few MB at a time; return the bytes freed.

    Writers get their turn in between.

    Raises:
        StoreBusy, StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    if not paths.db.exists():
        return 0
    with closing(connect_rw(paths)) as conn:
        before = _pages(conn)
        free = _free_pages(conn)
        while free:
            with write_lock_of(paths.write_lock).hold(WAIT_S):
                # execute() would step this pragma once, which frees one page only.
                conn.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
            left = _free_pages(conn)
            if left >= free:  # a file that was made without auto_vacuum
                break
            free = left
            shrink_wal(conn, paths)
        ((page_size,),) = conn.execute("PRAGMA page_size").fetchall()
        return max(0, before - _pages(conn)) * int(page_size)


def _pages(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA page_count").fetchall()[0][0])


def _free_pages(conn: sqlite3.Connection) -> int:
    return int(conn.execute("PRAGMA freelist_count").fetchall()[0][0])
