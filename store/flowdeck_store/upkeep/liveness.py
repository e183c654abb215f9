"""Is the process of a run alive? And what to do about those that are not."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreUnwritable
from flowdeck_store.file import identity, left_behind
from flowdeck_store.file.connection import WAIT_S, connect_ro, make_home, writing
from flowdeck_store.file.forking import breathe, inside_sqlite
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.trouble import DAMAGED, kind_of
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.record import crash
from flowdeck_store.upkeep import launches
from flowdeck_store.upkeep.recovery import Recovered, Recovery, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: A process of another machine counts as dead when it gave no sign for that long (seconds).
STALE_S: Final = 60.0
#: How long a launched run may wait for its launcher to note the child's pid (seconds).
LAUNCH_S: Final = 60.0

_OPEN_SESSIONS: Final = "SELECT uid,boot_id,host,beat_us FROM sessions WHERE ended_us IS NULL"
_PROCESS: Final = (
    "SELECT coalesce(s.pid,r.launch_pid),coalesce(s.pid_start,r.launch_start),s.boot_id,"
    "coalesce(s.host,r.launch_host) FROM flow_runs r LEFT JOIN sessions s ON s.id=r.session_id "
    "WHERE r.id=? AND coalesce(s.pid,r.launch_pid) IS NOT NULL"
)
_LAUNCHED: Final = (
    "SELECT id,state,uid,launch_pid,launch_start,launch_host,state_us,"
    "json_extract(CASE WHEN json_valid(info) THEN info END,'$.launch_log_locked') FROM flow_runs "
    "WHERE session_id IS NULL AND ended_us IS NULL"
)


def is_alive(home: Path, session_uid: str) -> bool:
    """Say whether the process of a session runs.

    On this machine the kernel knows; of another machine only the heartbeat is known.
    """
    paths = StorePaths(home)
    recovery = Recovery(paths)
    return (
        recovery.is_held(session_uid) or session_uid in _examine(paths, recovery, WAIT_S).elsewhere
    )


def process_to_signal(home: Path, run_id: int) -> int | None:
    """Return the number of a run's process if it is that very process here.

    A number alone may mean another process: numbers are used again, and another container (pid
    namespace) with the same host name has its own.
    """
    conn = connect_ro(StorePaths(home))
    if conn is None:
        return None
    with closing(conn):
        found = conn.execute(_PROCESS, (run_id,)).fetchall()
    for pid, start, boot_id, host in found:
        known = identity.pid_start(os.getpid()) is not None  # else the system does not say
        if identity.is_here(boot_id, host) and (not known or identity.process_runs(pid, start)):
            return int(pid)
    return None


def recover(
    home: Path, stop: Callable[[], bool] = lambda: False, wait: float = WAIT_S
) -> list[Recovered]:
    """Put right what dead processes left: replay journals, end their runs as Crashed.

    Cheap when nothing is dead. When two processes recover at once, the second waits for the first
    and finds nothing left; so does one that comes when the first holds the dead one's process lock
    already. A store that cannot be written now is left to the next caller; what is dead in it is
    noted in :mod:`flowdeck_store.file.left_behind` until then.

    Args:
        home: the folder of the store.
        stop: asked between batches whether to end early.
        wait: how long to wait for each lock, in seconds.

    Raises:
        StoreCorrupt, StoreTooNew: the file is no store that this flowdeck understands.
    """
    paths = StorePaths(home)
    done: list[Recovered] = []

    def pause() -> bool:
        breathe()
        return stop()

    findings: list[_Findings] = []
    try:
        with inside_sqlite():
            _recover_all(paths, Recovery(paths, pause, wait), done, findings, wait)
        left_behind.note(home, None)
    except Stopped:
        pass
    except (StoreBusy, StoreUnwritable, sqlite3.Error, OSError) as error:
        if kind_of(error) == DAMAGED:
            raise StoreCorrupt(paths.db, str(error)) from error
        is_bad = bool(findings) and findings[-1].is_bad  # else somebody else is still busy with it
        left_behind.note(home, _left(findings[-1], done, error) if is_bad else None)
    return done


def _left(
    found: _Findings, done: list[Recovered], error: BaseException
) -> left_behind.DeadSessions:
    return left_behind.DeadSessions(
        frozenset(found.dead - {recovered.session_uid for recovered in done}),
        frozenset(run.id for run, *_ in found.launches),
        left_behind.reason_of(error),
    )


def _recover_all(
    paths: StorePaths,
    recovery: Recovery,
    done: list[Recovered],
    findings: list[_Findings],
    wait: float,
) -> None:
    turn = write_lock_of(paths.locks / "recovery")
    findings.append(_examine(paths, recovery, wait))
    if not findings[-1].is_bad and not turn.is_taken():
        # Asked in this order: who recovers a session holds its process lock, so that it seems alive.
        return
    make_home(paths)  # it could not be created, or somebody deleted a folder
    turn.refresh()
    with turn.hold(wait):
        findings.append(_examine(paths, recovery, wait))
        for uid in sorted(findings[-1].dead):
            recovered = recovery.session(uid)
            if recovered is not None:
                done.append(recovered)
        _end_launches(paths, _examine(paths, recovery, wait).launches, wait)


class DeadLaunch(NamedTuple):
    """A launched run whose process died before it took it over."""

    run: crash.OpenRun
    message: str
    since_us: int
    uid: str | None  # None: a process may still come


@dataclass(frozen=True, slots=True)
class _Findings:
    """What one look at a store shows."""

    dead: set[str]  # sessions to recover
    elsewhere: set[str]  # sessions of other machines that gave a sign of life lately
    launches: list[DeadLaunch]

    @property
    def is_bad(self) -> bool:
        return bool(self.dead or self.launches)


def _examine(paths: StorePaths, recovery: Recovery, wait: float) -> _Findings:
    sessions: list[tuple[Any, ...]] = []
    launched: list[tuple[Any, ...]] = []
    conn = connect_ro(paths, timeout=wait)
    if conn is not None:
        with closing(conn):
            sessions = conn.execute(_OPEN_SESSIONS).fetchall()
            launched = conn.execute(_LAUNCHED).fetchall()
    # A sign of life from the future is none: a clock was set back, or is wrong.
    since, until = ((time.time() + seconds) * 1e6 for seconds in (-STALE_S, abs(STALE_S)))
    elsewhere = {
        uid
        for uid, boot_id, host, beat_us in sessions
        if since <= beat_us <= until and not identity.is_here(boot_id, host)
    }
    dead = {uid for uid, _, _, _ in sessions if not recovery.is_held(uid)}
    return _Findings(
        (dead | recovery.left_behind()) - elsewhere, elsewhere, _dead_launches(paths, launched)
    )


def _dead_launches(paths: StorePaths, launched: list[tuple[Any, ...]]) -> list[DeadLaunch]:
    """Return launched runs whose process died before it took them over."""
    found = []
    here, late = identity.host_name(), (time.time() - LAUNCH_S) * 1e6
    for number, state, uid, pid, start, host, us, has_lock in launched:
        run = crash.OpenRun(number, state)
        if launches.writes_log(paths, uid):
            continue
        if pid is None:
            if us < late:
                message = "Whoever launched this run ended before starting it."
                found.append(DeadLaunch(run, message, us, None))
        elif has_lock or (host == here and not identity.process_runs(pid, start)):
            message = f"The process of this run (pid {pid} on {host}) ended before it reported."
            found.append(DeadLaunch(run, message, us, uid))
    return found


def _end_launches(paths: StorePaths, ended: list[DeadLaunch], wait: float) -> None:
    if not ended:
        return
    query = "SELECT 1 FROM flow_runs WHERE id=? AND session_id IS NULL AND ended_us IS NULL"
    with writing(paths, wait) as conn:
        for run, message, us, _ in ended:
            if conn.execute(query, (run.id,)).fetchall():
                crash.end_runs(conn, [run], message, us)
    for _, _, _, uid in ended:
        if uid is not None:  # it has parameters in it, and nobody will take it any more
            launches.spec_of(paths, uid).unlink(missing_ok=True)
