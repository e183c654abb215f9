"""Time limits of flow functions.

A function on the main thread is interrupted by an alarm signal, even inside ``time.sleep``. One on
another thread or on a loop is asked to stop by a timer: a coroutine ends at its next await, other
code at its next bytecode, and no new task starts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from flowdeck.states.transitions import TimeUp
from flowdeck.stopping.cancellation import (
    RING_AGAIN,
    innermost_interruptible,
    put_off,
)
from flowdeck.threads import swallowed
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from flowdeck.stopping.cancellation import Stoppable

#: The shortest time that a timer is set to: 0 would switch it off.
_AT_ONCE = 1e-3
#: Seconds after which an alarm that nobody heard rings again. One that strikes between the
#: interpreter's last look for signals and a wait inside C wakes nobody: its handler would be called
#: when that wait ends, which may be never.
_UNHEARD = 0.05


@contextlib.contextmanager
def limited(run: Stoppable, seconds: float | None) -> Iterator[None]:
    """Stop the block, which executes the run's function, after ``seconds``; ``None``: never.

    Raises:
        TimeUp: in the block.
    """
    if seconds is None:
        yield
    elif (
        not run.flow.isasync
        and threading.current_thread() is threading.main_thread()
        and hasattr(signal, "setitimer")
    ):
        with _Alarm(run, seconds):
            yield
    else:
        with _Timer(run, seconds):
            yield


class _Timer:
    """Asks the function to stop, from a thread of its own."""

    def __init__(self, run: Stoppable, seconds: float) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._over = False
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._up)
        self._timer.name, self._timer.daemon = "flowdeck-time-limit", True

    def _up(self) -> None:
        with self._lock:
            if self._over:
                return
            self._run.timed_out = True
            self._run.interrupt_body()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._over = True


class _Alarm:
    """Interrupts the main thread with SIGALRM.

    There is one such timer in a process, and somebody else may be using it: a flow that calls this
    one, the application, a profiler. Theirs goes on: their handler is called when it would have
    been, and their timer is set again afterwards.
    """

    def __init__(self, run: Stoppable, seconds: float) -> None:
        self._run = run
        self._due = clock.monotonic() + seconds
        self._before: Any = None
        self._outer_due: float | None = None
        self._interval = 0.0
        self._armed = False

    def __enter__(self) -> None:
        self._set()

    def __exit__(self, *_: object) -> None:
        swallowed.forget(self._set_anew)
        self._restore()

    def _set(self) -> None:
        self._armed = True
        self._before = signal.signal(signal.SIGALRM, self._ring)
        left, self._interval = signal.getitimer(signal.ITIMER_REAL)
        self._outer_due = clock.monotonic() + left if left else None
        self._arm()

    def _set_anew(self) -> None:
        self._due = clock.monotonic() + RING_AGAIN
        self._set()

    def _arm(self) -> None:
        due = self._due if self._outer_due is None else min(self._due, self._outer_due)
        signal.setitimer(signal.ITIMER_REAL, max(due - clock.monotonic(), _AT_ONCE), _UNHEARD)

    def _restore(self) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before if self._before is not None else signal.SIG_DFL)
        if self._outer_due is not None:
            left = max(self._outer_due - clock.monotonic(), _AT_ONCE)
            signal.setitimer(signal.ITIMER_REAL, left, self._interval)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if not self._armed:
            return
        if self._run.state.ends_run:  # an exception struck where this was to be switched off
            self._restore()
            return
        now = clock.monotonic()
        if self._outer_due is not None and now >= self._outer_due:
            self._ring_outer(signum, frame)
        if now < self._due:
            self._arm()
            return
        if swallowed.reaches_nobody(frame):
            self._due = now + RING_AGAIN
            self._arm()
            return
        # Now, because it may ring on the very way out of the block, past the last line that could
        # be relied on to do it.
        self._restore()
        self._run.timed_out = True
        innermost = innermost_interruptible()
        if innermost is not None and innermost is not self._run and innermost.stop_on_loop():
            return  # an async subflow on a loop on this thread: its loop stops it
        late = TimeUp(self._run)
        if not put_off(late):
            swallowed.expect(late, self._set_anew)
            raise late

    def _ring_outer(self, signum: int, frame: FrameType | None) -> None:
        """Do what would happen now without this alarm."""
        before, self._outer_due = self._before, None
        if before == signal.SIG_DFL:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            if callable(before):
                before(signum, frame)
        except TimeUp:
            raise  # a flow run that called this one is over, and this one with it
        except BaseException:
            self._look_at_outer()
            self._arm()
            raise
        self._look_at_outer()

    def _look_at_outer(self) -> None:
        """Note when the outer timer rings next: their handler may have set it again."""
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        left = left or self._interval
        self._outer_due = clock.monotonic() + left if left else None
