"""Is the process of a run alive? And what to do about those that are not."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import crash, identity
from flowdeck_store.connection import WAIT_S, connect_ro, connect_rw
from flowdeck_store.errors import StoreBusy, StoreCorrupt
from flowdeck_store.forking import breathe, inside_sqlite
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
    recovery = Recovery(paths)
    return recovery.is_held(session_uid) or session_uid in _look(paths, recovery).elsewhere


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

    def pause() -> bool:
        breathe()
        return stop()

    try:
        with inside_sqlite():
            _recover_all(paths, Recovery(paths, pause), done)
    except Stopped:
        pass
    except (StoreBusy, sqlite3.Error, OSError) as error:
        if kind_of(error) == DAMAGED:
            raise StoreCorrupt(paths.db, str(error)) from error
    return done


def _recover_all(paths: StorePaths, recovery: Recovery, done: list[Recovered]) -> None:
    if not _look(paths, recovery).is_bad:
        return
    with gate_of(paths.locks / "recovery").hold(WAIT_S):
        for uid in sorted(_look(paths, recovery).dead):
            recovered = recovery.session(uid)
            if recovered is not None:
                done.append(recovered)
        _end_launches(paths, _look(paths, recovery).launches)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at a store shows."""

    dead: set[str]  # sessions to recover
    elsewhere: set[str]  # sessions of other machines that gave a sign of life lately
    launches: list[tuple[crash.OpenRun, str, int]]  # died before adoption; what to say; since when

    @property
    def is_bad(self) -> bool:
        return bool(self.dead or self.launches)


def _look(paths: StorePaths, recovery: Recovery) -> _Look:
    sessions: list[tuple[Any, ...]] = []
    launched: list[tuple[Any, ...]] = []
    conn = connect_ro(paths)
    if conn is not None:
        with closing(conn):
            sessions = conn.execute(_OPEN_SESSIONS).fetchall()
            launched = conn.execute(_LAUNCHED).fetchall()
    since = (time.time() - STALE_S) * 1e6
    elsewhere = {
        uid
        for uid, boot_id, host, beat_us in sessions
        if beat_us >= since and not identity.is_here(boot_id, host)
    }
    dead = {uid for uid, _, _, _ in sessions if not recovery.is_held(uid)}
    return _Look((dead | recovery.left_behind()) - elsewhere, elsewhere, _dead_launches(launched))


def _dead_launches(launched: list[tuple[Any, ...]]) -> list[tuple[crash.OpenRun, str, int]]:
    """Return launched runs whose process died before it took them over."""
    found = []
    here, late = identity.host_name(), (time.time() - LAUNCH_S) * 1e6
    for number, state, pid, start, host, us in launched:
        run = crash.OpenRun(number, state)
        if pid is None:
            if us < late:
                found.append((run, "Whoever launched this run ended before starting it.", us))
        elif host == here and not identity.process_runs(pid, start):
            message = f"The process of this run (pid {pid} on {host}) ended before it reported."
            found.append((run, message, us))
    return found


def _end_launches(paths: StorePaths, launches: list[tuple[crash.OpenRun, str, int]]) -> None:
    if not launches:
        return
    query = "SELECT 1 FROM flow_runs WHERE id=? AND session_id IS NULL AND ended_us IS NULL"
    with closing(connect_rw(paths)) as conn, transaction(conn, paths, WAIT_S):
        for run, message, us in launches:
            if conn.execute(query, (run.id,)).fetchall():
                crash.end_runs(conn, [run], message, us)
