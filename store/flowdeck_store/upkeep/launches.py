"""Runs that are recorded before their process exists: launched from the app or the shell.

The launcher records the run, starts a detached child, and notes its process. When the child emits
``events.run`` with the same uid, it takes the row over. If the child dies before that, whoever
looks next (:func:`flowdeck_store.upkeep.liveness.recover`) makes the run Crashed: the log that the
child writes is locked for as long as it has it open, whatever its number is to who looks (another
container has other numbers under the same host name).
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from flowdeck_store import events as ev
from flowdeck_store.errors import NotFound
from flowdeck_store.file import file_locks
from flowdeck_store.file.connection import make_home, writing
from flowdeck_store.file.identity import host_name
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.record.ingest import Ingester
from flowdeck_store.secrets.redaction import without_secrets
from flowdeck_store.states import FAILED, SCHEDULED

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.events import Event

#: Name of the state of a run whose process has not reported yet.
LAUNCHING: Final = "Launching"

_FLOW: Final = (
    "INSERT INTO flows(key,name,source,doc,first_us,last_us) VALUES(?,?,?,?,?,?) "
    "ON CONFLICT(key,name) DO UPDATE SET source=coalesce(excluded.source,source),"
    "doc=coalesce(excluded.doc,doc),last_us=max(last_us,excluded.last_us) RETURNING id"
)
_RUN: Final = (
    "INSERT INTO flow_runs(uid,flow_id,name,runner,state,state_name,state_us,created_us,params,"
    "tags,rerun_of,info,state_msg) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id"
)


def create_run(
    home: Path,
    *,
    flow_key: str,
    flow_name: str,
    name: str,
    uid: str,
    source: str | None = None,
    doc: str | None = None,
    runner: str | None = None,
    params: str | None = None,
    tags: str | None = None,
    rerun_of: str | None = None,
    info: str | None = None,
    message: str | None = None,
) -> int:
    """Record a run that is about to be launched, as Scheduled "Launching"; return its number.

    The arguments are those of :func:`flowdeck_store.events.run`, and ``message``: what is said of
    the state.

    Raises:
        StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    make_home(paths)
    us = ev.now_us()
    with writing(paths) as conn:
        ((flow,),) = conn.execute(_FLOW, (flow_key, flow_name, source, doc, us, us)).fetchall()
        state = (SCHEDULED, LAUNCHING, us)
        row = (uid, flow, name, runner, *state, us, params, tags, rerun_of, info, message)
        ((number,),) = conn.execute(_RUN, row).fetchall()
        conn.execute(
            "INSERT INTO states(run_id,task_no,state,us,name,msg) VALUES(?,0,?,?,?,?)",
            (number, SCHEDULED, us, LAUNCHING, message),
        )
    return int(number)


def set_process(
    home: Path, run_id: int, pid: int, pid_start: int | None, *, locked: bool = False
) -> None:
    """Note the process that was started for a launched run.

    Args:
        home: the folder of the store.
        run_id: the run's number.
        pid: of the child, on this machine.
        pid_start: when it started, see :func:`flowdeck_store.file.identity.pid_start`.
        locked: whether it holds its log (:func:`hold_log`), so that no number is needed.

    Raises:
        StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    with writing(paths) as conn:
        conn.execute(
            "UPDATE flow_runs SET launch_pid=?,launch_start=?,launch_host=?,info=CASE WHEN ? AND "
            "json_valid(info) THEN json_set(info,'$.launch_log_locked',1) ELSE info END WHERE id=?",
            (pid, pid_start, host_name(), locked, run_id),
        )


def log_of(paths: StorePaths, uid: str) -> Path:
    """Return where the output of a launched run goes."""
    return paths.launches / f"{uid}.log"


def spec_of(paths: StorePaths, uid: str) -> Path:
    """Return where its launcher leaves for a launched run what it is to run, parameters included."""
    return paths.launches / f"{uid}.json"


def hold_log(fd: int) -> bool:
    """Lock the log that a child will inherit; say whether that is possible here."""
    return file_locks.survives_close() and file_locks.lock(fd)


def writes_log(paths: StorePaths, uid: str) -> bool:
    """Say whether a process has the log of a launched run open that was started with it."""
    try:
        fd = os.open(log_of(paths, uid), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return file_locks.is_locked(fd)
    finally:
        os.close(fd)


def fail_run(home: Path, run_id: int, message: str, failure_event: Event | None = None) -> bool:
    """Make a launched run Failed that never came to life.

    Args:
        home: the folder of the store.
        run_id: the run's number.
        message: why, for the state.
        failure_event: an :func:`flowdeck_store.events.failure` with the run's uid, if there is one.

    Returns:
        False when the run's own process has taken it over, or it has ended: then nothing is done.

    Raises:
        NotFound: there is no such run.
        StoreError, sqlite3.Error: the store cannot be written.
    """
    paths = StorePaths(home)
    with writing(paths) as conn:
        query = "SELECT uid,session_id IS NULL AND ended_us IS NULL FROM flow_runs WHERE id=?"
        found = conn.execute(query, (run_id,)).fetchall()
        if not found:
            raise NotFound(f"There is no run {run_id} in {paths.db}.")
        uid, waiting = found[0]
        if not waiting:
            return False
        shown = without_secrets(message)
        happened = [ev.state(uid, 0, -1, FAILED, ev.now_us(), None, shown, 1, None, None)]
        if failure_event is not None:
            happened.append(failure_event)
        # The transaction above already holds the write lock.
        Ingester(conn, nullcontext, None).commit(happened, None)
    return True
