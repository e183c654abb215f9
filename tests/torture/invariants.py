"""What is true of every record once nobody writes into it, whatever happened before."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from flowdeck_store import states as st
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.ids import number_of, run_of, task_run_id

#: What may follow a state, by type; a final one by nothing (``NotReady`` is a final PENDING).
FOLLOWERS = {
    None: {st.SCHEDULED, st.PENDING, st.RUNNING, st.COMPLETED, st.FAILED, st.CRASHED, st.CANCELLED},
    st.SCHEDULED: {st.SCHEDULED, st.PENDING, st.RUNNING, st.COMPLETED, st.FAILED, st.CRASHED,
                   st.CANCELLING, st.CANCELLED},
    st.PENDING: {st.SCHEDULED, st.PENDING, st.RUNNING, st.COMPLETED, st.FAILED, st.CRASHED,
                 st.CANCELLING, st.CANCELLED, st.PAUSED},
    st.RUNNING: {st.SCHEDULED, st.RUNNING, st.COMPLETED, st.FAILED, st.CRASHED, st.CANCELLING,
                 st.CANCELLED, st.PAUSED},
    st.CANCELLING: {st.CANCELLED, st.CRASHED, st.COMPLETED, st.FAILED},
    st.PAUSED: {st.RUNNING, st.PENDING, st.CANCELLING, st.CANCELLED, st.CRASHED, st.FAILED,
                st.COMPLETED},
}  # fmt: skip

Facts = set[tuple[str, str]]


def broken(home: Path, facts: Facts) -> list[str]:
    """Return what is wrong with a record, one sentence each; nothing: all is well.

    Args:
        home: its folder; no process writes into it any more, and what died is taken in.
        facts: task runs, by the uid of their flow run and their name, that were seen completed.
    """
    paths = StorePaths(home)
    with closing(sqlite3.connect(paths.db)) as conn:
        checks: list[Callable[[sqlite3.Connection], Iterator[str]]] = [
            _whole, _ended, _histories, _counters, _logs, _orphans,
        ]  # fmt: skip
        found = [said for check in checks for said in check(conn)]
        found += _lost(conn, facts)
    found += [f"the journal {path.name} is left" for path in sorted(paths.journal.glob("*.j*"))]
    return found


def _whole(conn: sqlite3.Connection) -> Iterator[str]:
    for (said,) in conn.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield f"SQLite: {said}"


def _ended(conn: sqlite3.Connection) -> Iterator[str]:
    for number, state, name, ended in conn.execute(
        "SELECT id, state, state_name, ended_us FROM flow_runs"
    ):
        if not st.is_final(state, name) or ended is None:
            yield f"run {number} has not ended: {st.TYPES[state].value} {name or ''}"
    for packed, state, name in conn.execute("SELECT id, state, state_name FROM task_runs"):
        if not st.is_final(state, name):
            yield f"task run {run_of(packed)}.{number_of(packed)} has not ended: state {state}"
    for (uid,) in conn.execute("SELECT uid FROM sessions WHERE ended_us IS NULL"):
        yield f"the session {uid} is open"


def _histories(conn: sqlite3.Connection) -> Iterator[str]:
    before: dict[tuple[int, int], tuple[int, str | None]] = {}
    for run, number, state, name in conn.execute(
        "SELECT run_id, task_no, state, name FROM states ORDER BY seq"
    ):
        last = before.get((run, number))
        if last is not None and st.is_final(*last):
            yield f"{run}.{number}: {st.TYPES[state].value} follows the final {last}"
        elif state not in FOLLOWERS[None if last is None else last[0]]:
            yield f"{run}.{number}: {st.TYPES[state].value} follows {last}"
        before[run, number] = (state, name)
    now = {
        (run_of(packed), number_of(packed)): (state, name)
        for packed, state, name in conn.execute("SELECT id, state, state_name FROM task_runs")
    }
    now |= {
        (number, 0): (state, name)
        for number, state, name in conn.execute("SELECT id, state, state_name FROM flow_runs")
    }
    for key, state_now in now.items():
        if before.get(key) != state_now:
            yield f"{key}: is {state_now}, its history ends with {before.get(key)}"


def _counters(conn: sqlite3.Connection) -> Iterator[str]:
    counts: dict[int, list[int]] = defaultdict(lambda: [0] * len(st.BUCKETS))
    for packed, state, name in conn.execute("SELECT id, state, state_name FROM task_runs"):
        counts[run_of(packed)][st.bucket(state, name)] += 1
    logs = dict(conn.execute("SELECT run_id, count(*) FROM logs GROUP BY run_id"))
    columns = ", ".join(f"n_{bucket}" for bucket in st.BUCKETS)
    for number, lines, *told in conn.execute(f"SELECT id, n_logs, {columns} FROM flow_runs"):
        if told != counts[number]:
            yield f"run {number} counts {told}, there are {counts[number]}"
        if lines != logs.get(number, 0):
            yield f"run {number} counts {lines} log lines, there are {logs.get(number, 0)}"


def _logs(conn: sqlite3.Connection) -> Iterator[str]:
    """What one task printed stands in the order in which it printed it, once."""
    printed: dict[tuple[int, int, str], list[int]] = defaultdict(list)
    for run, number, text in conn.execute(
        "SELECT run_id, task_no, msg FROM logs WHERE msg LIKE '% says %' ORDER BY seq"
    ):
        name, _, line = text.partition(" says ")
        printed[run, number, name].append(int(line))
    for (run, number, name), lines in printed.items():
        again = lines == sorted(lines) or lines.count(0) > 1  # a retry begins anew
        if not again or (lines.count(0) <= 1 and len(set(lines)) != len(lines)):
            yield f"{run}.{number} {name}: its lines are {lines}"


def _orphans(conn: sqlite3.Connection) -> Iterator[str]:
    runs = {number for (number,) in conn.execute("SELECT id FROM flow_runs")}
    tasks = {packed for (packed,) in conn.execute("SELECT id FROM task_runs")}
    of_runs = {
        "states": "run_id, task_no",
        "logs": "run_id, task_no",
        "failures": "run_id, task_no",
    }
    for table, columns in of_runs.items():
        for run, number in conn.execute(f"SELECT DISTINCT {columns} FROM {table}"):
            if run not in runs or (number and task_run_id(run, number) not in tasks):
                yield f"{table} has rows of {run}.{number}, which is not there"
    for packed in tasks:
        if run_of(packed) not in runs:
            yield f"task run {run_of(packed)}.{number_of(packed)} has no flow run"
    for table, column in {"results": "task", "task_inputs": "task", "task_tags": "task"}.items():
        for (packed,) in conn.execute(f"SELECT DISTINCT {column} FROM {table}"):
            if packed not in tasks and not (number_of(packed) == 0 and run_of(packed) in runs):
                yield f"{table} has rows of {run_of(packed)}.{number_of(packed)}, which is not there"


def _lost(conn: sqlite3.Connection, facts: Facts) -> list[str]:
    numbers = dict(conn.execute("SELECT uid, id FROM flow_runs"))
    completed = {
        (run_of(packed), name)
        for packed, name in conn.execute(
            "SELECT id, name FROM task_runs WHERE state = ?", (st.COMPLETED,)
        )
    }
    return [
        f"{name} of {uid} was seen completed, and is not"
        for uid, name in sorted(facts)
        if uid in numbers and (numbers[uid], name) not in completed
    ]
