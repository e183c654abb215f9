"""Sync tasks on worker threads of anyio's, async tasks on an event loop.

Only task runs whose upstreams have ended come here, so nothing ever waits for an upstream on a
worker; a task that waits for a task that it submitted gives its slot back meanwhile; one that waits
for a retry or a free tag slot leaves its thread altogether.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from flowdeck import loop
from flowdeck.context import running_loop
from flowdeck.execution import Execution
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.task_runners.thread_pool import FEW, ThreadPool
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
            250 threads, and no limit on async tasks. Of the 250 there are few as long as they keep
            the processor busy, and more while ready tasks wait and the processor does not work.

    Raises:
        ValueError: ``max_workers`` is less than 1.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__()
        if max_workers is not None and (not isinstance(max_workers, int) or max_workers < 1):
            raise ValueError(f"max_workers must be an integer of at least 1, got {max_workers!r}.")
        self.max_workers = max_workers
        limit = max_workers or DEFAULT_MAX_WORKERS
        self._threads = ThreadPool(limit, self._advance, first=max_workers or FEW)
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
    def blocked(self, run: TaskRun, *, awaits: bool = False) -> Iterator[None]:
        if not run.task.isasync:
            self._threads.release()
            try:
                yield
            finally:
                self._threads.reacquire()
            return
        stalls = not awaits and self._loop_tasks.is_loop_of(run)
        self._loop_tasks.release(run, stalls=stalls)
        try:
            yield
        finally:
            self._loop_tasks.reacquire(run, stalls=stalls)


class _Parked:
    """A task run that sleeps without a thread."""

    def __init__(self, pool: ThreadPool, execution: Execution) -> None:
        self._pool = pool
        self._execution = execution
        self._lock = threading.Lock()
        self._over = False

    def sleep(self, seconds: float) -> None:
        """Queue the run again after ``seconds``, or at once when it is asked to stop."""
        run = self._execution.run
        run.interrupt = self.wake
        loop.call_later(seconds, self.wake)
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


class _Queue:
    """Async task runs that are to start on one loop."""

    __slots__ = ("level", "ready", "scheduled")

    def __init__(self, level: int) -> None:
        self.level = level
        self.ready: deque[TaskRun] = deque()
        self.scheduled = False


class _LoopPool:
    """Async task runs on the engine's user loops, started in batches.

    Task runs that wait for another one do not count against the limit, and neither do those that
    share a loop with a task run that blocks it: they cannot go on, and what it waits for may need
    their place.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._level_of: dict[TaskRun, int] = {}  # those that execute or wait; with a limit only
        self._executing: Counter[int] = Counter()  # by level, without those that wait
        self._stalled: set[int] = set()  # levels whose loop is blocked
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
                self._free(run)
                continue
            task = event_loop.create_task(
                self._run(run, queue.level), name=run.name, context=context
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self, queue: _Queue) -> TaskRun | None:
        with self._lock:
            if not queue.ready or self._is_full():
                return None
            run = queue.ready.popleft()
            if self._limit is not None:
                self._level_of[run] = queue.level
                self._executing[queue.level] += 1
            return run

    def _is_full(self) -> bool:
        if self._limit is None:
            return False
        able = (n for level, n in self._executing.items() if level not in self._stalled)
        return sum(able) >= self._limit

    async def _run(self, run: TaskRun, level: int) -> None:
        loop.entered(level)
        try:
            await Execution(run).run_async()
        except BaseException as error:
            run.owner.submissions.crash(run, crash_message(error), error)
        finally:
            self._free(run)
            run.owner.ended(run)

    def _free(self, run: TaskRun) -> None:
        if self._limit is None:
            return
        with self._lock:
            self._executing[self._level_of.pop(run)] -= 1
        self._start_others()

    def _start_others(self) -> None:
        for queue in list(self._queues.values()):
            if queue.ready:
                self._schedule(queue)

    def is_loop_of(self, run: TaskRun) -> bool:
        """Say whether this is the thread of the loop that executes ``run``."""
        level = self._level_of.get(run)
        return level is not None and running_loop() is loop.user_loop(level)

    def release(self, run: TaskRun, *, stalls: bool) -> None:
        """The task run waits for another one, and its loop with it if it ``stalls``."""
        if self._limit is None:
            return
        with self._lock:
            level = self._level_of[run]
            self._executing[level] -= 1
            if stalls:
                self._stalled.add(level)
        self._start_others()

    def reacquire(self, run: TaskRun, *, stalls: bool) -> None:
        """The task run goes on, at once: a loop cannot be made to wait."""
        if self._limit is None:
            return
        with self._lock:
            level = self._level_of[run]
            self._executing[level] += 1
            if stalls:
                self._stalled.discard(level)

    def drain(self) -> list[TaskRun]:
        """Take back all queued runs."""
        taken: list[TaskRun] = []
        for queue in list(self._queues.values()):
            while queue.ready:
                with contextlib.suppress(IndexError):
                    taken.append(queue.ready.popleft())
        return taken
