"""Sync tasks on worker threads, async tasks on one event loop; both are anyio's.

A worker is one long-lived ``anyio.to_thread.run_sync`` that takes ready task runs from a queue:
one trip through the loop for each worker instead of for each task, which makes a task about
twenty times cheaper. Only task runs whose upstreams have ended come here, so nothing ever waits
for an upstream on a worker; a task that waits for a task that it submitted gives its slot back
meanwhile; one that waits for a retry or a free tag slot leaves its thread altogether.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from flowdeck import loop
from flowdeck.task_run import Execution
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from flowdeck.runs import TaskRun

#: Threads when the user sets no limit.
DEFAULT_MAX_WORKERS = 250


class ConcurrentTaskRunner(BaseTaskRunner):
    """The default task runner.

    Args:
        max_workers: how many sync tasks, and how many async tasks, may execute at the same time.
            Tasks that wait (for inputs, a retry, a slot, another task) do not count. Default:
            250 threads, and no limit on async tasks.

    Raises:
        ValueError: ``max_workers`` is less than 1.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
            raise ValueError(f"max_workers must be an integer of at least 1, got {max_workers!r}.")
        self.max_workers = max_workers
        self._threads = _ThreadPool(max_workers or DEFAULT_MAX_WORKERS, self._advance)
        self._loop_tasks = _LoopPool(max_workers)

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.CONCURRENT

    def _stop(self) -> None:
        self._threads.stop()

    def _submit(self, run: TaskRun) -> None:
        if run.task.isasync:
            self._loop_tasks.add(run)
        else:
            self._threads.add(Execution(run))

    def _advance(self, execution: Execution) -> None:
        """Go on with a task run on this worker thread until it ends or sleeps."""
        run = execution.run
        context = run.context
        if context is None:  # ended meanwhile: cancelled while it was queued
            return
        try:
            seconds = context.run(execution.advance)
        except BaseException:
            run.owner.ended(run)
            raise
        if seconds is None:
            run.owner.ended(run)
        else:
            _Parked(self._threads, execution).sleep(seconds)

    def drop_queued(self) -> list[TaskRun]:
        return [execution.run for execution in self._threads.drain()] + self._loop_tasks.drain()

    @contextlib.contextmanager
    def blocked(self, run: TaskRun) -> Iterator[None]:
        pool: Any = self._loop_tasks if run.task.isasync else self._threads
        pool.release()
        try:
            yield
        finally:
            pool.reacquire()


class _Parked:
    """A task run that sleeps without a thread."""

    def __init__(self, pool: _ThreadPool, execution: Execution) -> None:
        self._pool = pool
        self._execution = execution
        self._lock = threading.Lock()
        self._over = False

    def sleep(self, seconds: float) -> None:
        """Queue the run again after ``seconds``, or at once when it is asked to stop."""
        run = self._execution.run
        run.interrupt = self.wake
        event_loop = loop.event_loop()
        event_loop.call_soon_threadsafe(event_loop.call_later, seconds, self.wake)
        if run.cancel_requested:
            self.wake()

    def wake(self) -> None:
        """Queue the run again; only the first call does."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self._execution.run.interrupt = None
        self._pool.add(self._execution)


class _ThreadPool:
    """Worker threads, added while ready executions find none idle."""

    def __init__(self, limit: int, work: Any) -> None:
        self._limit = limit
        self._work = work
        self._ready: SimpleQueue[Execution | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._slots = 0  # held by workers (idle ones too) that are not blocked in a wait
        self._idle = 0
        self._resuming: deque[threading.Lock] = deque()
        self._growing = False
        self._limiter: Any = None

    def add(self, execution: Execution) -> None:
        """Queue an execution."""
        self._ready.put(execution)
        # Unlocked look: an idle worker that was just counted out takes the item soon anyway.
        if self._idle < self._ready.qsize() and self._slots < self._limit and not self._growing:
            self._grow()

    def _grow(self) -> None:
        with self._lock:
            if self._slots >= self._limit or self._growing:
                return
            self._slots += 1
            self._growing = True
        loop.spawn(self._host)

    async def _host(self) -> None:
        """Keep one worker thread of anyio's busy for as long as this pool needs it."""
        import anyio
        import anyio.to_thread

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(float("inf"))
        await anyio.to_thread.run_sync(self._run, limiter=self._limiter, abandon_on_cancel=True)

    def _run(self) -> None:
        self._growing = False
        if self._ready.qsize() > 1 and self._slots < self._limit:
            self._grow()
        while True:
            execution = self._next()
            if execution is None:
                return
            if execution is not _WAKE:
                self._work(execution)
            del execution
            if self._resuming and self._hand_over():
                return

    def _next(self) -> Execution | None:
        try:
            return self._ready.get_nowait()
        except Empty:
            pass
        with self._lock:
            self._idle += 1
        execution = self._ready.get()
        with self._lock:
            self._idle -= 1
            if execution is None:
                self._slots -= 1
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
            self._grow()

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
        with self._lock:
            count = self._slots
        for _ in range(count):
            self._ready.put(None)


class _Wake:
    """An item that only makes an idle worker look up."""

    run: Any = None


_WAKE: Any = _Wake()


class _LoopPool:
    """Async task runs on the engine's loop, started in batches."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._ready: deque[TaskRun] = deque()
        self._running = 0
        self._waiting = 0
        self._scheduled = False
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, run: TaskRun) -> None:
        """Queue a task run."""
        self._ready.append(run)
        self._schedule()

    def _schedule(self) -> None:
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        loop.event_loop().call_soon_threadsafe(self._start_ready)

    def _start_ready(self) -> None:
        self._scheduled = False
        event_loop = loop.event_loop()
        while self._ready and (self._limit is None or self._running - self._waiting < self._limit):
            try:
                run = self._ready.popleft()
            except IndexError:
                return
            if run.context is None:
                continue
            self._running += 1
            task = event_loop.create_task(self._run(run), name=run.name, context=run.context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, run: TaskRun) -> None:
        try:
            await Execution(run).run_async()
        finally:
            self._running -= 1
            run.owner.ended(run)
            if self._ready:
                self._schedule()

    def release(self) -> None:
        """The calling task waits for another one: let others start."""
        with self._lock:
            self._waiting += 1
        if self._ready:
            self._schedule()

    def reacquire(self) -> None:
        """The calling task goes on; on one loop only one executes at a time anyway."""
        with self._lock:
            self._waiting -= 1

    def drain(self) -> list[TaskRun]:
        """Take back all queued runs."""
        taken: list[TaskRun] = []
        while self._ready:
            with contextlib.suppress(IndexError):
                taken.append(self._ready.popleft())
        return taken
