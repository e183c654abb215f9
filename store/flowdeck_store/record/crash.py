"""Ending runs whose process is gone: state rows, counters, end times, freed slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.file.tables.ddl import COUNTERS
from flowdeck_store.ids import span, sql_number, sql_run
from flowdeck_store.record.control import KILL
from flowdeck_store.states import (
    BUCKET_OF_CODE,
    BUCKETS,
    CACHED,
    CACHED_BUCKET,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    NOT_READY,
    NOT_READY_BUCKET,
    PENDING,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_BUCKET: Final = (
    f"CASE WHEN state={COMPLETED} AND state_name='{CACHED}' THEN {CACHED_BUCKET} "
    f"WHEN state={PENDING} AND state_name='{NOT_READY}' THEN {NOT_READY_BUCKET} "
    + " ".join(f"WHEN state={code} THEN {b}" for code, b in enumerate(BUCKET_OF_CODE))
    + " END"
)
_COUNT: Final = f"SELECT {_BUCKET} b,count(*) FROM task_runs WHERE id BETWEEN ? AND ? GROUP BY b"
_SET_COUNTS: Final = (
    f"UPDATE flow_runs SET {','.join(f'{column}=?' for column in COUNTERS)} WHERE id=?"
)
_OPEN_TASKS: Final = "FROM task_runs WHERE id BETWEEN ? AND ? AND ended_us IS NULL"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A flow run that has not ended, although its process has."""

    id: int
    state: int


def message(pid: int, host: str) -> str:
    """Return what the states of such a run say."""
    return (
        f"The process of this run (pid {pid} on {host}) ended without a word: "
        "killed, or the machine went down."
    )


def end_runs(
    conn: sqlite3.Connection, runs: Iterable[OpenRun], message: str, last_sign_us: int
) -> int:
    """Make the runs and their unfinished task runs Crashed; the caller holds a transaction.

    A run that somebody asked to cancel or kill becomes Cancelled instead: that is what they asked
    for. The time of the end is the last sign of life, so that durations stay true when the
    recovery happens a day later.

    Args:
        conn: inside a write transaction.
        runs: which.
        message: what their last states say, see :func:`message`.
        last_sign_us: the time of the last sign of life, in microseconds.

    Returns:
        How many task runs were ended.
    """
    ended = 0
    for run in runs:
        state = CANCELLED if _was_cancelled(conn, run) else CRASHED
        first, last = span(run.id)
        conn.execute(
            "INSERT INTO states(run_id,task_no,state,us,msg) "
            f"SELECT {sql_run('id')},{sql_number('id')},?,max(?,state_us),? {_OPEN_TASKS} ORDER BY id",
            (state, last_sign_us, message, first, last),
        )
        ended += conn.execute(
            "UPDATE task_runs SET state=?,state_name=NULL,state_msg=?,"
            "state_us=max(?,state_us),ended_us=max(?,state_us) "
            "WHERE id BETWEEN ? AND ? AND ended_us IS NULL",
            (state, message, last_sign_us, last_sign_us, first, last),
        ).rowcount
        conn.execute(
            "INSERT INTO states(run_id,task_no,state,us,msg) "
            "SELECT id,0,?,max(?,state_us),? FROM flow_runs WHERE id=?",
            (state, last_sign_us, message, run.id),
        )
        conn.execute(
            "UPDATE flow_runs SET state=?,state_name=NULL,state_msg=?,"
            "state_us=max(?,state_us),ended_us=max(?,state_us) WHERE id=?",
            (state, message, last_sign_us, last_sign_us, run.id),
        )
        conn.execute(
            "UPDATE control SET done_us=? WHERE run_id=? AND done_us IS NULL",
            (last_sign_us, run.id),
        )
        recount(conn, run.id)
    return ended


def recount(conn: sqlite3.Connection, run_id: int) -> None:
    """Set a run's task counters to what its task runs say; the caller holds a transaction."""
    counts = dict(conn.execute(_COUNT, span(run_id)).fetchall())
    conn.execute(_SET_COUNTS, (*(counts.get(b, 0) for b in range(len(BUCKETS))), run_id))


def _was_cancelled(conn: sqlite3.Connection, run: OpenRun) -> bool:
    if run.state == CANCELLING:
        return True
    query = "SELECT EXISTS(SELECT 1 FROM control WHERE run_id=? AND task_no=0 AND verb=?)"
    return bool(conn.execute(query, (run.id, KILL)).fetchone()[0])
