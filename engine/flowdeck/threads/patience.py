"""Waits of any length that a signal ends, whenever it arrives.

Python's handler of a signal runs on the main thread between two bytecodes. A signal that arrives
after the interpreter's last look for one, but before the thread blocks inside C, is only noted: the
thread then sleeps on a lock that nobody opens, with the Ctrl-C, the request to cancel or the alarm
of a time limit in its pocket. The kernel may also hand a signal to another thread, with the same
effect. So the main thread never waits for ever at once: it comes back now and then, which is when
the interpreter looks. Other threads handle no signals and wait in one piece.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flowdeck_store import clock

if TYPE_CHECKING:
    from concurrent.futures import Future

#: Seconds in which the main thread hears a signal that did not wake it.
_LOOK_ROUND = 0.25


def until_open(gate: threading.Lock, deadline: float | None = None) -> bool:
    """Acquire a lock that somebody else releases.

    Args:
        gate: the lock.
        deadline: on the clock of :func:`clock.monotonic`; ``None``: wait for ever.

    Returns:
        Whether it was released in time.
    """
    while True:
        left = -1.0 if deadline is None else max(deadline - clock.monotonic(), 0.0)
        now = _slice(left)
        if gate.acquire(timeout=now):
            return True
        if now == left:
            return False


def until_set(event: threading.Event, seconds: float) -> bool:
    """Wait for an event.

    Args:
        event: the event.
        seconds: how long at most.

    Returns:
        Whether it was set in time.
    """
    deadline = clock.monotonic() + seconds
    while True:
        left = max(deadline - clock.monotonic(), 0.0)
        now = min(_slice(left), threading.TIMEOUT_MAX)
        if event.wait(now):
            return True
        if now == left:
            return False


def until_joined(thread: threading.Thread) -> None:
    """Wait until a thread has ended."""
    while thread.is_alive():
        thread.join(_timeout())


def result_of(future: Future[Any]) -> Any:
    """Wait for the result of a future of a pool or a loop's thread.

    Raises:
        BaseException: what the future has failed with.
    """
    from concurrent.futures import wait

    while not future.done():
        wait([future], _timeout())
    return future.result()


def _slice(left: float) -> float:
    if threading.get_ident() != threading.main_thread().ident:
        return left
    return _LOOK_ROUND if left < 0.0 else min(left, _LOOK_ROUND)


def _timeout() -> float | None:
    return None if threading.get_ident() != threading.main_thread().ident else _LOOK_ROUND
