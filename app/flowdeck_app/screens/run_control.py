"""Asking the process of a run to stop, and making it; called on a thread, never on the loop."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store import control, liveness
from flowdeck_store.identity import host_name
from flowdeck_store.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds a process gets to end by itself after a request to kill it.
PATIENCE: Final = 3.0
_POLL: Final = 0.05


def who() -> str:
    """Return who asks, for the record."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the system's list (containers)
        user = str(os.getuid())
    return f"{user} (flowdeck app, pid {os.getpid()} on {host_name()})"


def cancel(home: Path, run_id: int, no: int = 0) -> None:
    """Ask a run, or one of its task runs, to cancel.

    Raises:
        NotFound, StoreBusy, StoreCorrupt, StoreTooNew: the request cannot be written.
    """
    control.request(home, run_id, control.CANCEL, task_no=no, by=who())


def kill(home: Path, run_id: int, patience: float = PATIENCE) -> str:
    """End the process of a run: by a request, then by a signal if it is on this machine.

    Returns:
        What came of it, one sentence.

    Raises:
        NotFound, StoreBusy, StoreCorrupt, StoreTooNew: the request cannot be written.
    """
    control.request(home, run_id, control.KILL, by=who())
    with Reader.open(home) as reader:
        if _wait(reader, run_id, patience):
            return f"Run {run_id} has ended"
        run = reader.run(run_id)
        if run is None or run.pid is None:
            return f"Run {run_id} was asked to end; its process is not known"
        if run.host not in {None, host_name()}:
            return f"It runs on {run.host} (pid {run.pid}) and does not answer"
        liveness.recover(home)  # a dead process is no target: its number may be another's by now
        run = reader.run(run_id)
        if run is None or run.is_final or run.pid is None:
            return f"Run {run_id} has ended"
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(run.pid, signal.SIGKILL)
        _wait(reader, run_id, patience)
        return f"Killed process {run.pid} of run {run_id}"


def _wait(reader: Reader, run_id: int, seconds: float) -> bool:
    """Wait until a run is over; ``False`` if it is not by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run = reader.run(run_id)
        if run is None or run.is_final:
            return True
        time.sleep(_POLL)
    return False
