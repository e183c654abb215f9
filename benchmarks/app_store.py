"""The store that the app is measured on: task runs and log lines as years of use leave them."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("engine", "store", "app", "tests")]

from flowdeck_store.states import COMPLETED, FAILED  # noqa: E402
from store_builder import StoreBuilder  # noqa: E402


def fill(home: Path, tasks: int, biggest: int, logs: int) -> int:
    """Make the store and return the number of the big run."""
    builder = StoreBuilder(home)
    db = builder.db
    start = time.time_ns() // 1000 - 7 * 86_400_000_000
    per_run = max(1, min(500, (tasks - biggest) // 300))
    sizes = [per_run] * ((tasks - biggest) // per_run) + [biggest]
    spacing = 6 * 86_400_000_000 // len(sizes)
    task_id = builder._id_of("tasks", "/flows/etl.py:fetch", name="fetch", retries=2)
    db.execute("BEGIN")
    for place, size in enumerate(sizes):
        at = start + place * spacing
        bad = place % 9 == 0
        run = builder.run(
            f"run-{place}", flow=f"flow_{place % 40}", created=at, started=at, seconds=60.0,
            state=FAILED if bad else COMPLETED, runner=("dask", "concurrent")[place % 2],
            params='{"limit": 500}', tags=["prod"] if place % 3 else None,
        )  # fmt: skip
        _add_tasks(db, run, size, at, task_id)
        db.execute(
            "UPDATE flow_runs SET n_completed = ?, n_failed = ? WHERE id = ?",
            (size - size // 100, size // 100, run),
        )
    _add_logs(db, run, logs, biggest, start)
    db.execute("COMMIT")
    builder.close()
    return run


def made(home: Path) -> int | None:
    """Return the number of the big run of a store that an earlier call made, if there is one."""
    if not (home / "flowdeck.db").exists():
        return None
    with contextlib.closing(sqlite3.connect(home / "flowdeck.db")) as db:
        found = db.execute(
            "SELECT id FROM flow_runs WHERE name LIKE 'run-%' ORDER BY n_completed DESC LIMIT 1"
        ).fetchone()
    return int(found[0]) if found else None


def _add_tasks(db: Any, run: int, size: int, at: int, task_id: int) -> None:
    db.executemany(
        "INSERT INTO task_runs(id, task_id, name, map_index, state, state_us, state_msg, created_us,"
        " started_us, ended_us, worker) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (run << 24 | no, task_id, f"fetch[{no - 1}]", no - 1,
             FAILED if no % 100 == 0 else COMPLETED, at + no * 900,
             "HTTPError: 502" if no % 100 == 0 else None, at, at + no * 500, at + no * 900,
             f"w-{no % 8}")
            for no in range(1, size + 1)
        ),
    )  # fmt: skip


def _add_logs(db: Any, run: int, logs: int, biggest: int, at: int) -> None:
    db.execute("INSERT INTO log_sources(name) VALUES('flowdeck.task_runs')")
    (source,) = db.execute("SELECT max(id) FROM log_sources").fetchone()
    db.executemany(
        "INSERT INTO logs(run_id, task_no, us, level, src, msg) VALUES(?, ?, ?, ?, ?, ?)",
        (
            (run, n % biggest + 1, at + n * 100, 30 if n % 50 == 0 else 20, source,
             f"row {n} of the file was read and written, with a text of some length behind it")
            for n in range(logs)
        ),
    )  # fmt: skip
    db.execute(
        "UPDATE flow_runs SET n_logs = ?, n_warn = ?, log_lo = (SELECT min(seq) FROM logs), "
        "log_hi = (SELECT max(seq) FROM logs) WHERE id = ?",
        (logs, (logs + 49) // 50, run),
    )
