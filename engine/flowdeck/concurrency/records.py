"""Which record knows the limits for the code that asks, and what this process takes slots with there.

In the flow's process, and in a program without flows, that is clear. A worker of a cluster may be on
another machine: then a folder of the same name may lead to another record, or to the same one by a way
on which nobody can see who has died. So a worker looks once whether the record has its flow run, and
whether the process of that is on this machine.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ConcurrencySlotAcquisitionError
from flowdeck.settings import get_settings
from flowdeck.stopping import cancellation
from flowdeck.version import __version__
from flowdeck_store import clock
from flowdeck_store.file import identity
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from flowdeck_store.record.blocks import SlotSession

#: Seconds that a flow run has to get from its process into the record.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.05

_lock = threading.Lock()
_open: dict[Path, SlotSession] = {}
_reached: set[Path] = set()
_of_parents: list[SlotSession] = []  # whose connections a forked child must not even close


def home_of(run: Any) -> Path | None:
    """Return the folder of the record that knows the limits; ``None``: there is none.

    Args:
        run: the task run or flow run of the code that asks, if it is in one.

    Raises:
        ConcurrencySlotAcquisitionError: it cannot be reached from here.
    """
    if run is None or not run.info.uid:
        return get_settings().home
    here: Path | None = getattr(run.recorder, "home", None)
    if here is not None or run.info.home is None:
        return here
    home = Path(run.info.home)
    if home not in _reached:
        _reach(home, run)
    return home


def _reach(home: Path, run: Any) -> None:
    from flowdeck_store.record.blocks import reachable

    until = clock.monotonic() + _PATIENCE
    while True:
        if reachable(home, run.info.uid):
            _reached.add(home)
            return
        if not home.is_dir() or clock.monotonic() >= until:
            break
        threading.Event().wait(_PAUSE)
    where = f"worker {one_line(run.worker, 60)}, " if getattr(run, "worker", None) else ""
    raise ConcurrencySlotAcquisitionError(
        f"Limits are kept in the record of the flow run, {home}, which cannot be reached from here "
        f"({where}machine {identity.host_name()}): blocks and rates work on the machine of the flow's "
        "process. Give the task a tag that has the limit, @task(tags=[...]): the slots of tags are "
        "taken by the flow's process, wherever the task executes."
    )


def session(home: Path) -> SlotSession:
    """Return what this process takes slots with in a record.

    Raises:
        StoreError, OSError: its folder cannot be written.
    """
    from flowdeck_store.record.blocks import SlotSession

    with _lock:
        found = _open.get(home)
        if found is not None:
            return found
        idle = [_open.pop(other) for other, one in list(_open.items()) if one.is_idle]
        found = _open[home] = SlotSession(home, __version__)
    for one in idle:
        one.close()
    return found


def close(timeout: float = 5.0) -> None:
    """At the end of the process: what it holds comes free at once."""
    with _lock:
        sessions = list(_open.values())
        _open.clear()
    for one in sessions:
        one.close()


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for one in _open.values():
        one.abandon()
    _of_parents.extend(_open.values())
    _open.clear()


os.register_at_fork(after_in_child=_forget_after_fork)
cancellation.before_the_end.append(close)
atexit.register(close)
