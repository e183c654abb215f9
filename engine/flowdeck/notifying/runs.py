"""When people are told of a flow run: at its end, and once when it has gone on for long.

Imported only where the setting ``notify`` names a way to tell them.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from flowdeck.notifying.channels import INSIDE
from flowdeck.notifying.sending import Job, notify
from flowdeck.settings import get_settings
from flowdeck_store import clock

if TYPE_CHECKING:
    from flowdeck.settings import Settings


class _Overdue:
    """Waits for runs to go on for too long: one thread, while there are any."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: By uid: when it is too long, on the engine's clock, and what is to be done then.
        self._due: dict[str, tuple[float, Job, tuple[str, ...]]] = {}
        self._is_waiting = False

    def add(self, run: Any, settings: Settings) -> None:
        due = clock.monotonic() + settings.notify_after
        job = Job(run, "running", settings.home, settings.notify_filter)
        with self._changed:
            self._due[run.info.uid] = due, job, settings.notify
            self._changed.notify()
            if self._is_waiting:
                return
            self._is_waiting = True
        thread = threading.Thread(target=self._wait, name="flowdeck-notify-after", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread to be had: the run is more important
            self._is_waiting = False

    def remove(self, uid: str) -> None:
        with self._changed:
            if self._due.pop(uid, None) is not None:
                self._changed.notify()

    def _wait(self) -> None:
        while True:
            with self._changed:
                if not self._due:
                    self._is_waiting = False
                    return
                now = clock.monotonic()
                late = [uid for uid, (due, *_) in self._due.items() if due <= now]
                told = [self._due.pop(uid) for uid in late]
                if not told:
                    self._changed.wait(min(due for due, *_ in self._due.values()) - now)
            for _, job, ways in told:
                notify(job, ways)


_overdue = _Overdue()


def begun(run: Any) -> None:
    """A flow run that nobody called from another one goes on from now."""
    settings = get_settings()
    if settings.notify_after and _tells(run):
        _overdue.add(run, settings)


def ended(run: Any) -> None:
    """It has entered its last state."""
    settings = get_settings()
    if _tells(run):
        _overdue.remove(run.info.uid)
        notify(Job(run, "ended", settings.home, settings.notify_filter), settings.notify)


def _tells(run: Any) -> bool:
    """Say whether the run is in a record of this process, and not one of a notification itself."""
    return bool(run.recorder.is_record) and INSIDE not in os.environ


def _forget_after_fork() -> None:
    """The thread, and the runs, are those of the parent."""
    global _overdue
    _overdue = _Overdue()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
