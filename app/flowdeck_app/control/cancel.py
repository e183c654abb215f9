"""Asking runs to cancel, and ending the process of one that does not.

A request is a row of the record: the run's process finds it there, whoever wrote it and wherever
that process is. A signal is the last resort, for what no request reaches (a C extension that never
comes back, a stopped process). It goes to the very process of the run or to nobody, so three
things stand before it:

- the process gets :data:`PATIENCE` to end by itself: then its journal is whole, its hooks ran and
  the run has the state that was asked for;
- dead processes are looked after first: the run may be over, and its number another's by now;
- the number counts only with the start time, boot and host that were recorded with it. Numbers
  alone once named a process of another container with the same host name.

Called on a thread of the app, never on its loop: it waits.
"""

from __future__ import annotations

import enum
import getpass
import os
import signal
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from flowdeck_store.file.identity import host_name
from flowdeck_store.read.reader import Reader
from flowdeck_store.record import control
from flowdeck_store.upkeep import liveness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Seconds that a process gets to end by itself, and that its end gets to be recorded.
PATIENCE: Final = 3.0
_POLL: Final = 0.05
_RECOVER_AFTER: Final = 1.0  # seconds between looks for processes that are gone


class KillEnd(enum.Enum):
    """What came of killing a run's process."""

    OVER = enum.auto()  # the run ended before it was necessary
    UNKNOWN = enum.auto()  # no process is recorded
    ELSEWHERE = enum.auto()  # on another machine
    UNSEEN = enum.auto()  # in another container, or the number is another's
    FORBIDDEN = enum.auto()  # another user's
    KILLED = enum.auto()


class Kill(NamedTuple):
    """What came of it, and which process it was about."""

    end: KillEnd
    pid: int | None = None
    host: str | None = None


def who(program: str = "") -> str:
    """Return who asks, for the record: user, program, process and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the system's list (containers)
        user = str(os.getuid())
    within = f"{program}, " if program else ""
    return f"{user} ({within}pid {os.getpid()} on {host_name()})"


def cancel(home: Path, run_id: int, no: int = 0) -> None:
    """Ask a run, or one of its task runs, to cancel, in the app's name.

    Raises:
        NotFound, StoreBusy, StoreCorrupt, StoreTooNew: the request cannot be written.
    """
    control.request(home, run_id, control.CANCEL, task_no=no, by=who("flowdeck app"))


def kill(home: Path, run_id: int, patience: float = PATIENCE) -> str:
    """Ask a run to end at once and make sure of it, in the app's name.

    Returns:
        What came of it, one sentence.

    Raises:
        NotFound, StoreBusy, StoreCorrupt, StoreTooNew: the request cannot be written.
    """
    control.request(home, run_id, control.KILL, by=who("flowdeck app"))
    with Reader.open(home) as reader:
        end, pid, host = end_process(reader, run_id, lambda: liveness.recover(home), patience)
    return {
        KillEnd.OVER: f"Run {run_id} has ended",
        KillEnd.UNKNOWN: f"Run {run_id} was asked to end; its process is not known",
        KillEnd.ELSEWHERE: f"It runs on {host} (pid {pid}) and does not answer",
        KillEnd.UNSEEN: f"The process of run {run_id} (pid {pid}) is not to be seen from here",
        KillEnd.FORBIDDEN: f"The process of run {run_id} (pid {pid}) is another user's",
        KillEnd.KILLED: f"Killed process {pid} of run {run_id}",
    }[end]


def end_process(
    reader: Reader, run_id: int, recover: Callable[[], object], patience: float = PATIENCE
) -> Kill:
    """Kill the process of a run that was asked to end and does not, if it is on this machine.

    Args:
        reader: of the record.
        run_id: the run.
        recover: ends runs whose process is gone as Crashed.
        patience: seconds, see :data:`PATIENCE`.
    """
    if _is_over(reader, run_id, patience, recover):
        return Kill(KillEnd.OVER)
    run = reader.run(run_id)
    if run is None or run.pid is None:
        return Kill(KillEnd.UNKNOWN)
    if run.host not in {None, host_name()}:
        return Kill(KillEnd.ELSEWHERE, run.pid, run.host)
    recover()
    if _is_over(reader, run_id):
        return Kill(KillEnd.OVER)
    pid = liveness.process_to_signal(reader.home, run_id)
    if pid is None:
        return Kill(KillEnd.UNSEEN, run.pid)
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return Kill(KillEnd.FORBIDDEN, pid)
    except ProcessLookupError:
        end = KillEnd.OVER
    else:
        end = KillEnd.KILLED
    _is_over(reader, run_id, patience, recover)
    return Kill(end, pid)


def _is_over(
    reader: Reader,
    run_id: int,
    seconds: float = 0.0,
    recover: Callable[[], object] = lambda: None,
) -> bool:
    """Wait until a run is over or deleted; ``False`` if it is not by then."""
    now = time.monotonic()
    end, recover_at = now + seconds, now + _RECOVER_AFTER
    while True:
        run = reader.run(run_id)
        if run is None or run.is_final:
            return True
        now = time.monotonic()
        if now >= end:
            return False
        if now >= recover_at:
            recover()
            recover_at = now + _RECOVER_AFTER
        time.sleep(_POLL)
