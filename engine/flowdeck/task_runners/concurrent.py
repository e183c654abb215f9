"""Sync tasks on worker threads of anyio's, async tasks on an event loop.

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
from flowdeck.transitions import crash_message

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
        except BaseException as error:
            # Not the task's function but the engine or a hook: only this run ends, not the worker.
            run.owner.submissions.crash(run, crash_message(error), error)
            return
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
            if self._resuming:  # came just now: it saw no idle worker that it could wake
                return _WAKE  # type: ignore[no-any-return]
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


class _Queue:
    """Async task runs that are to start on one loop."""

    __slots__ = ("level", "ready", "scheduled")

    def __init__(self, level: int) -> None:
        self.level = level
        self.ready: deque[TaskRun] = deque()
        self.scheduled = False


class _LoopPool:
    """Async task runs on the engine's user loops, started in batches."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._executing = 0  # without those that wait for another task
        self._queues: dict[int, _Queue] = {}
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, run: TaskRun) -> None:
        """Queue a task run for a loop that the code that submitted it cannot block."""
        context = run.context
        if context is None:  # ended meanwhile
            return
        level = loop.level(context)
        queue = self._queues.get(level)
        if queue is None:
            queue = self._queues.setdefault(level, _Queue(level))
        queue.ready.append(run)
        self._schedule(queue)

    def _schedule(self, queue: _Queue) -> None:
        with self._lock:
            if queue.scheduled:
                return
            queue.scheduled = True
        loop.user_loop(queue.level).call_soon_threadsafe(self._start_ready, queue)

    def _start_ready(self, queue: _Queue) -> None:
        queue.scheduled = False
        event_loop = loop.user_loop(queue.level)
        while (run := self._next(queue)) is not None:
            context = run.context
            if context is None:
                self._free()
                continue
            task = event_loop.create_task(
                self._run(run, queue.level), name=run.name, context=context
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self, queue: _Queue) -> TaskRun | None:
        with self._lock:
            if not queue.ready or (self._limit is not None and self._executing >= self._limit):
                return None
            self._executing += 1
            return queue.ready.popleft()

    async def _run(self, run: TaskRun, level: int) -> None:
        loop.entered(level)
        try:
            await Execution(run).run_async()
        except BaseException as error:
            run.owner.submissions.crash(run, crash_message(error), error)
        finally:
            self._free()
            run.owner.ended(run)

    def _free(self) -> None:
        with self._lock:
            self._executing -= 1
        for queue in list(self._queues.values()):
            if queue.ready:
                self._schedule(queue)

    def release(self) -> None:
        """The calling task waits for another one: let others start."""
        self._free()

    def reacquire(self) -> None:
        """The calling task goes on, at once: a loop cannot be made to wait."""
        with self._lock:
            self._executing += 1

    def drain(self) -> list[TaskRun]:
        """Take back all queued runs."""
        taken: list[TaskRun] = []
        for queue in list(self._queues.values()):
            while queue.ready:
                with contextlib.suppress(IndexError):
                    taken.append(queue.ready.popleft())
        return taken
