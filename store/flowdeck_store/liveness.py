"""Is the process of a run alive? And what to do about those that are not."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import crash, identity
from flowdeck_store.connection import WAIT_S, connect_ro, connect_rw
from flowdeck_store.errors import StoreBusy, StoreCorrupt
from flowdeck_store.gate import gate_of
from flowdeck_store.paths import StorePaths
from flowdeck_store.recovery import Recovered, Recovery, Stopped
from flowdeck_store.side_door import transaction
from flowdeck_store.trouble import DAMAGED, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: A process of another machine counts as dead when it gave no sign for that long (seconds).
STALE_S: Final = 60.0
#: How long a launched run may wait for its launcher to note the child's pid (seconds).
LAUNCH_S: Final = 60.0

_OPEN_SESSIONS: Final = "SELECT uid,boot_id,host,beat_us FROM sessions WHERE ended_us IS NULL"
_LAUNCHED: Final = (
    "SELECT id,state,launch_pid,launch_start,launch_host,state_us FROM flow_runs "
    "WHERE session_id IS NULL AND ended_us IS NULL"
)


def is_alive(home: Path, session_uid: str) -> bool:
    """Say whether the process of a session runs.

    On this machine the kernel knows; of another machine only the heartbeat is known.
    """
    paths = StorePaths(home)
    return Recovery(paths).is_held(session_uid) or session_uid in _lively_elsewhere(paths)


def recover(home: Path, stop: Callable[[], bool] = lambda: False) -> list[Recovered]:
    """Put right what dead processes left: replay journals, end their runs as Crashed.

    Cheap when nothing is dead. When two processes recover at once, the second waits for the first
    and finds nothing left. A store that cannot be written now is left to the next caller.

    Args:
        home: the folder of the store.
        stop: asked between batches whether to end early.

    Raises:
        StoreCorrupt, StoreTooNew: the file is no store that this flowdeck understands.
    """
    paths = StorePaths(home)
    done: list[Recovered] = []
    try:
        recovery = Recovery(paths, stop)
        if not (_dead_sessions(paths, recovery) or _dead_launches(paths)):
            return done
        with gate_of(paths.locks / "recovery").hold(WAIT_S):
            for uid in sorted(_dead_sessions(paths, recovery)):
                recovered = recovery.session(uid)
                if recovered is not None:
                    done.append(recovered)
            _end_launches(paths)
    except Stopped:
        pass
    except (StoreBusy, sqlite3.Error, OSError) as error:
        if kind_of(error) == DAMAGED:
            raise StoreCorrupt(paths.db, str(error)) from error
    return done


def _dead_sessions(paths: StorePaths, recovery: Recovery) -> set[str]:
    """Return the uids of sessions to recover."""
    open_ones = {uid for uid, _, _, _ in _rows(paths, _OPEN_SESSIONS) if not recovery.is_held(uid)}
    return (open_ones | recovery.left_behind()) - _lively_elsewhere(paths)


def _lively_elsewhere(paths: StorePaths) -> set[str]:
    """Return the uids of other machines' sessions that gave a sign of life lately."""
    since = (time.time() - STALE_S) * 1e6
    return {
        uid
        for uid, boot_id, host, beat_us in _rows(paths, _OPEN_SESSIONS)
        if beat_us >= since and not identity.is_here(boot_id, host)
    }


def _dead_launches(paths: StorePaths) -> list[tuple[crash.OpenRun, str, int]]:
    """Return launched runs whose process died before it took them over, and what to say."""
    found = []
    here = identity.host_name()
    for number, state, pid, start, host, us in _rows(paths, _LAUNCHED):
        run = crash.OpenRun(number, state)
        if pid is None:
            if us < (time.time() - LAUNCH_S) * 1e6:
                found.append((run, "Whoever launched this run ended before starting it.", us))
        elif host == here and not identity.process_runs(pid, start):
            message = f"The process of this run (pid {pid} on {host}) ended before it reported."
            found.append((run, message, us))
    return found


def _end_launches(paths: StorePaths) -> None:
    dead = _dead_launches(paths)
    if not dead:
        return
    with closing(connect_rw(paths)) as conn, transaction(conn, paths, WAIT_S):
        for run, message, us in dead:
            query = "SELECT 1 FROM flow_runs WHERE id=? AND session_id IS NULL"
            if conn.execute(query, (run.id,)).fetchall():
                crash.end_runs(conn, [run], message, us)


def _rows(paths: StorePaths, query: str) -> list[tuple[Any, ...]]:
    conn = connect_ro(paths)
    if conn is None:
        return []
    with closing(conn):
        return conn.execute(query).fetchall()
