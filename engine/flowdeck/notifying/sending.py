"""Sending notifications beside the runs: each channel has a thread while there is something to send.

No run waits for any of it. The process does, at its end, for at most :data:`LIMIT` seconds.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import WARNING, line
from flowdeck.notifying import channels, notices
from flowdeck.stopping import cancellation
from flowdeck_store import clock
from flowdeck_store.errors import StoreError
from flowdeck_store.events import now_us
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.notifying.notices import Notice

#: Seconds that a channel may take for one notification.
LIMIT: Final = 10.0
#: Notifications that wait for one channel: more would be about what nobody reads any more.
_MOST: Final = 100


class Job:
    """One event of one flow run, for all channels. Looked up once, by whichever needs it first."""

    def __init__(self, run: Any, event: str, home: Path, wanted: str) -> None:
        self.run = run
        self._event, self._home, self._wanted = event, home, wanted
        self._lock = threading.Lock()

    def notice(self) -> Notice | None:
        """Return what to say, ``None`` for nothing."""
        with self._lock:
            return self._found

    @cached_property
    def _found(self) -> Notice | None:
        self.run.recorder.flush(LIMIT / 2)
        try:
            uid = self.run.info.uid
            return notices.find(self._home, uid, self._event, self._wanted, now_us())
        except StoreError as error:
            warn(self.run, f"Nobody is notified of this run: {error}")
            return None


@dataclass(slots=True)
class _Outbox:
    """What waits to be sent one way."""

    waiting: deque[Job] = field(default_factory=deque)
    is_sending: bool = False


_channels: dict[str, _Outbox] = {}
_changed = threading.Condition()


def notify(job: Job, ways: tuple[str, ...]) -> None:
    """Have an event told by these ways; returns at once."""
    for way in ways:
        with _changed:
            channel = _channels.setdefault(way, _Outbox())
            is_full = len(channel.waiting) >= _MOST
            if not is_full:
                channel.waiting.append(job)
        if is_full:
            warn(job.run, f"No notification was sent by {channels.label(way)}: {_MOST} others wait")
            continue
        with _changed:
            if channel.is_sending:
                continue
            channel.is_sending = True
        name = f"flowdeck-notify-{channels.label(way)}"
        try:
            threading.Thread(target=_send_all, args=(way, channel), name=name, daemon=True).start()
        except RuntimeError as error:  # no thread to be had
            with _changed:
                channel.is_sending = False
                channel.waiting.clear()
            warn(job.run, f"No notification was sent by {channels.label(way)}: {error}")


def _send_all(way: str, channel: _Outbox) -> None:
    while True:
        with _changed:
            if not channel.waiting:
                channel.is_sending = False
                _changed.notify_all()
                return
            job = channel.waiting.popleft()
        try:
            notice = job.notice()
            if notice is not None:
                channels.send(way, notice, LIMIT)
        except channels.NotSent as error:
            warn(job.run, f"No notification was sent by {channels.label(way)}: {error}")
        except Exception as error:  # nothing that goes wrong here may show as a thread's traceback
            reason = f"{type(error).__name__}: {error}"
            warn(job.run, f"No notification was sent by {channels.label(way)}: {reason}")


def warn(run: Any, message: str) -> None:
    """Write one line into the log of a run, secrets hidden."""
    line(run, WARNING, one_line(message, 1000))


def wait(timeout: float = LIMIT) -> bool:
    """Wait until all is sent; ``False`` if it is not after ``timeout`` seconds."""
    until = clock.monotonic() + timeout
    with _changed:
        while any(channel.is_sending for channel in _channels.values()):
            left = until - clock.monotonic()
            if left <= 0:
                return False
            _changed.wait(left)
    return True


def _wait_at_the_end(timeout: float = LIMIT) -> None:
    if wait(timeout):
        return
    late = [channels.label(way) for way, channel in _channels.items() if channel.is_sending]
    print(f"flowdeck: notifications by {', '.join(late)} took too long.", file=sys.stderr)


def _forget_after_fork() -> None:
    """The threads are those of the parent."""
    global _changed
    _changed = threading.Condition()
    _channels.clear()


atexit.register(_wait_at_the_end)  # before the store closes: what is registered later comes first
cancellation.before_the_end.insert(0, _wait_at_the_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
