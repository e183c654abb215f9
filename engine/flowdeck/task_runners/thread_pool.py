"""Worker threads of anyio's for ready task runs, as many as are of use.

A worker is one long-lived ``anyio.to_thread.run_sync`` that takes ready task runs from a queue:
one trip through the loop for each worker instead of for each task, which makes a task about
twenty times cheaper.

Tasks that wait for the network want many threads; tasks that keep the processor busy want few, as
more of them only take it from each other, from the writer of the record and from the live view.
Nobody says which ones they are, so it is looked at: while ready tasks wait for a worker and the
processor has nothing to do, workers are doubled every few milliseconds.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from flowdeck import loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.execution import Execution

#: Workers that are of use to tasks of any kind.
FEW: Final = min(32, (os.cpu_count() or 1) + 4)
_LOOK_S: Final = 0.005
_MAX_LOOK_S: Final = 0.04
#: Share of one processor from which on this process counts as working.
_BUSY: Final = 0.5
#: Seconds without an end after which workers are added, however busy the processor is.
_STANDSTILL_S: Final = 1.0


class _Look:
    """What was seen when a look at the workers was ordered, to be compared with what is then."""

    __slots__ = ("_began", "_cpu", "_ended", "_since", "seconds")

    def __init__(self, seconds: float, ended: int, since: float | None = None) -> None:
        self.seconds = seconds
        self._began = time.monotonic()
        self._cpu = time.process_time()
        self._ended = ended
        self._since = self._began if since is None else since  # when something ended last

    def is_waste(self) -> bool:
        """Say whether the processor was idle while ready tasks waited."""
        took = time.monotonic() - self._began
        # A timer that is late had to wait for the interpreter or for the processor itself.
        is_late = took > 2 * self.seconds
        return not is_late and time.process_time() - self._cpu < _BUSY * took

    def is_standstill(self, ended: int) -> bool:
        """Say whether nothing has ended for a long time."""
        return ended == self._ended and time.monotonic() - self._since > _STANDSTILL_S

    def next(self, ended: int, *, fresh: bool) -> _Look:
        """Return the next look: soon if the workers are ``fresh``, else ever later."""
        if fresh:
            return _Look(_LOOK_S, ended)
        since = self._since if ended == self._ended else None
        return _Look(min(_MAX_LOOK_S, 2 * self.seconds), ended, since)


class ThreadPool:
    """Worker threads, added while ready executions find none idle.

    Args:
        limit: how many executions may go on at the same time.
        work: executes one; must not raise.
        first: how many workers there are before it is known whether more would be of use.
    """

    def __init__(self, limit: int, work: Callable[[Execution], None], *, first: int) -> None:
        self._limit = limit
        self._work = work
        self._most = min(first, limit)  # workers for now
        self._ready: SimpleQueue[Execution | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._slots = 0  # held by workers (idle ones too) that are not blocked in a wait
        self._idle = 0
        self._resuming: deque[threading.Lock] = deque()
        self._growing = False
        self._stopped = False
        self._watching = self._most == limit  # nothing to find out
        self._ended = 0  # executions; only whether it changes matters, so nobody locks it
        self._limiter: Any = None

    def add(self, execution: Execution) -> None:
        """Queue an execution."""
        self._ready.put(execution)
        # Unlocked look: an idle worker that was just counted out takes the item soon anyway.
        if self._idle < self._ready.qsize() and not self._growing:
            self._ask_for_more()

    def _ask_for_more(self) -> None:
        if self._slots < self._most:
            self._grow()
        elif not self._watching:
            self._watch()

    def _grow(self) -> None:
        with self._lock:
            if self._slots >= self._most or self._growing:
                return
            self._slots += 1
            self._growing = True
        loop.spawn(self._host)

    def _watch(self) -> None:
        """Look again and again, on the service loop, whether more workers would be of use."""
        with self._lock:
            if self._watching:
                return
            self._watching = True
        loop.call_later(_LOOK_S, self._look, _Look(_LOOK_S, self._ended))

    def _look(self, now: _Look) -> None:
        # First the flag, then the queue: an `add` puts into the queue and then sees the flag.
        self._watching = False
        if self._stopped or self._ready.qsize() <= self._idle:
            return
        if self._slots < self._most:  # the last ones are about to start
            self._ask_for_more()
        elif now.is_waste():
            self._most = min(self._limit, 2 * self._most)
            self._grow()
        elif now.is_standstill(self._ended):
            # What keeps the processor busy may be what waits for the queued tasks.
            self._most = min(self._limit, self._most + max(1, self._most // 4))
            self._grow()
        with self._lock:
            if self._watching or self._most == self._limit:
                self._watching = True
                return
            self._watching = True
        then = now.next(self._ended, fresh=self._slots < self._most)
        loop.call_later(then.seconds, self._look, then)

    async def _host(self) -> None:
        """Keep one worker thread of anyio's busy for as long as this pool needs it."""
        import anyio
        import anyio.to_thread

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(float("inf"))
        await anyio.to_thread.run_sync(self._run, limiter=self._limiter, abandon_on_cancel=True)

    def _run(self) -> None:
        self._growing = False
        if self._ready.qsize() > 1:
            self._ask_for_more()
        while True:
            execution = self._next()
            if execution is None:
                with self._lock:
                    self._slots -= 1
                return
            if execution is not _WAKE:
                self._work(execution)
                self._ended += 1
            del execution
            if self._resuming and self._hand_over():
                return

    def _next(self) -> Execution | None:
        try:
            return self._ready.get_nowait()
        except Empty:
            pass
        with self._lock:
            if self._resuming:  # came just now: it saw no idle worker that it could wake
                return _WAKE  # type: ignore[no-any-return]
            self._idle += 1
        execution = self._ready.get()
        with self._lock:
            self._idle -= 1
        if (
            execution is not None and self._ready.qsize() > self._idle
        ):  # added while this worker still counted as idle
            self._ask_for_more()
        return execution

    def _hand_over(self) -> bool:
        """Give this worker's slot to a task that wants to go on after a wait."""
        with self._lock:
            if not self._resuming:
                return False
            self._resuming.popleft().release()
            return True

    def release(self) -> None:
        """The calling worker waits for another task: let others have its slot."""
        with self._lock:
            self._slots -= 1
            if self._resuming:
                self._slots += 1
                self._resuming.popleft().release()
                return
        if self._ready.qsize() > self._idle:
            self._ask_for_more()

    def reacquire(self) -> None:
        """The calling worker goes on after a wait, as soon as there is a slot."""
        gate = threading.Lock()
        with self._lock:
            if self._slots < self._limit:
                self._slots += 1
                return
            gate.acquire()
            self._resuming.append(gate)
            send_home = self._idle > 0
        if send_home:
            self._ready.put(_WAKE)  # an idle worker wakes and hands its slot over
        gate.acquire()

    def drain(self) -> list[Execution]:
        """Take back all queued executions."""
        taken: list[Execution] = []
        while True:
            try:
                execution = self._ready.get_nowait()
            except Empty:
                return taken
            if execution is not None and execution is not _WAKE:
                taken.append(execution)

    def stop(self) -> None:
        """Send all workers home when they are done with what they do."""
        self._stopped = True
        with self._lock:
            count = self._slots
        for _ in range(count):
            self._ready.put(None)


class _Wake:
    """An item that only makes an idle worker look up."""

    run: Any = None


_WAKE: Any = _Wake()
