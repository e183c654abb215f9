"""Worker threads of anyio's for ready task runs, as many as are of use.

Why a queue of our own in front of anyio's threads: a trip through the loop to
``anyio.to_thread.run_sync`` and back costs about 200 µs for each call, twenty times as much as a plain
thread pool takes. So a worker is one long ``run_sync`` that takes ready task runs from a queue: one trip
for each worker instead of one for each task.

Why the number of workers is found out. Tasks that wait for the network want many threads; tasks that keep
the processor busy want few, as more of them only take it from each other, from the writer of the record
and from the live view. Nobody says which ones they are, so it is measured: while ready tasks wait for a
worker and the processor has nothing to do, workers are doubled every few milliseconds. A timer that
comes late had to wait for the interpreter itself, so that counts as busy. And if nothing ends for a
second, workers are added however busy the processor is: what keeps it busy may be a task that waits, in a
loop of its own, for one that is still in the queue.

A task that waits for another task gives its slot away and takes one back afterwards
(:meth:`ThreadPool.release`, :meth:`ThreadPool.reacquire`), so that chains of waits need no more slots
than one. Those that go on come before new tasks, else what has begun might never end.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from flowdeck.threads import loop
from flowdeck.threads.engine_threads import bear_ordinary_threads
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.lifecycle.execution import Execution

#: Workers that are of use to tasks of any kind.
FEW: Final = min(32, (os.cpu_count() or 1) + 4)
_INTERVAL_S: Final = 0.005
_MAX_INTERVAL_S: Final = 0.04
#: Share of one processor from which on this process counts as working.
_BUSY: Final = 0.5
#: Seconds without an end after which workers are added, however busy the processor is.
_STANDSTILL_S: Final = 1.0


class _Measurement:
    """How much the process had worked when it began, to be compared with what is after ``seconds``."""

    __slots__ = ("_began", "_cpu", "_ended", "_since", "seconds")

    def __init__(self, seconds: float, ended: int, since: float | None = None) -> None:
        self.seconds = seconds
        self._began = clock.monotonic()
        self._cpu = time.process_time()
        self._ended = ended
        self._since = self._began if since is None else since  # when something ended last

    def is_waste(self) -> bool:
        """Say whether the processor was idle while ready tasks waited."""
        took = clock.monotonic() - self._began
        # A timer that is late had to wait for the interpreter or for the processor itself.
        is_late = took > 2 * self.seconds
        return not is_late and time.process_time() - self._cpu < _BUSY * took

    def is_standstill(self, ended: int) -> bool:
        """Say whether nothing has ended for a long time."""
        return ended == self._ended and clock.monotonic() - self._since > _STANDSTILL_S

    def following(self, ended: int, *, fresh: bool) -> _Measurement:
        """Return the next measurement: a short one if the workers are ``fresh``, else an ever longer one."""
        if fresh:
            return _Measurement(_INTERVAL_S, ended)
        since = self._since if ended == self._ended else None
        return _Measurement(min(_MAX_INTERVAL_S, 2 * self.seconds), ended, since)


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
        self._is_measuring = self._most == limit  # nothing to find out
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
        elif not self._is_measuring:
            self._measure()

    def _grow(self) -> None:
        grown = False
        try:
            with self._lock:
                if self._slots >= self._most or self._growing or self._stopped:
                    return
                self._slots, self._growing, grown = self._slots + 1, True, True
            loop.spawn(self._host)
        except BaseException:  # no loop can be started, or an alarm of the user's
            if grown:
                self._not_grown()
            raise

    def _not_grown(self) -> None:
        with self._lock:
            self._slots -= 1
            self._growing = False

    def _measure(self) -> None:
        """Measure again and again, on the service loop, whether more workers would be of use."""
        with self._lock:
            if self._is_measuring:
                return
            self._is_measuring = True
        loop.call_later(_INTERVAL_S, self._consider_more, _Measurement(_INTERVAL_S, self._ended))

    def _consider_more(self, measured: _Measurement) -> None:
        # First the flag, then the queue: an `add` puts into the queue and then sees the flag.
        self._is_measuring = False
        if self._stopped or self._ready.qsize() <= self._idle:
            return
        if self._slots < self._most:  # the last ones are about to start
            self._ask_for_more()
        elif measured.is_waste():
            self._most = min(self._limit, 2 * self._most)
            self._grow()
        elif measured.is_standstill(self._ended):
            # What keeps the processor busy may be what waits for the queued tasks.
            self._most = min(self._limit, self._most + max(1, self._most // 4))
            self._grow()
        with self._lock:
            if self._is_measuring or self._most == self._limit:
                self._is_measuring = True
                return
            self._is_measuring = True
        then = measured.following(self._ended, fresh=self._slots < self._most)
        loop.call_later(then.seconds, self._consider_more, then)

    async def _host(self) -> None:
        """Keep one worker thread of anyio's busy for as long as this pool needs it."""
        import anyio
        import anyio.to_thread

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(float("inf"))
        await anyio.to_thread.run_sync(self._run, limiter=self._limiter, abandon_on_cancel=True)

    def _run(self) -> None:
        bear_ordinary_threads()
        try:
            self._work_on()
        finally:
            bear_ordinary_threads(False)  # the thread is anyio's again

    def _work_on(self) -> None:
        self._growing = False
        if self._ready.qsize() > 1:
            self._ask_for_more()
        while True:
            execution = self._take_next()
            if execution is None:
                self._ready.put(None)  # for the next one
                self._give_slot_back()
                return
            if execution is not _WAKE:
                self._work(execution)
                self._ended += 1
            del execution
            if self._resuming and self._hand_over():
                return

    def _take_next(self) -> Execution | None:
        try:
            return self._ready.get_nowait()
        except Empty:
            pass
        with self._lock:
            if self._resuming:  # came just now: it saw no idle worker that it could wake
                return _WAKE  # type: ignore[no-any-return]
            if self._stopped:
                return None
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
        if not self._give_slot_back() and self._ready.qsize() > self._idle:
            self._ask_for_more()

    def _give_slot_back(self) -> bool:
        """Give this worker's slot to a task that wants to go on, if there is one; say so."""
        with self._lock:
            if self._resuming:
                self._resuming.popleft().release()
                return True
            self._slots -= 1
            return False

    def reacquire(self) -> None:
        """The calling worker goes on after a wait, as soon as there is a slot."""
        turn = threading.Lock()
        with self._lock:
            if self._slots < self._limit:
                self._slots += 1
                return
            turn.acquire()
            self._resuming.append(turn)
            send_home = self._idle > 0
        if send_home:
            self._ready.put(_WAKE)  # an idle worker wakes and hands its slot over
        turn.acquire()

    def drain(self) -> list[Execution]:
        """Take back all queued executions."""
        taken: list[Execution] = []
        while True:
            try:
                execution = self._ready.get_nowait()
            except Empty:
                if self._stopped:
                    self._ready.put(None)
                return taken
            if execution is not None and execution is not _WAKE:
                taken.append(execution)

    def stop(self) -> None:
        """Send all workers home when they are done with what they do."""
        with self._lock:
            self._stopped = True  # from now on nobody grows and nobody begins to wait for work
        self._ready.put(None)  # stays in the queue: whoever finds it leaves it to the next one
        if self._most > FEW:
            loop.thin_out()


class _Wake:
    """An item that only makes an idle worker look up."""

    run: Any = None


_WAKE: Any = _Wake()
