"""Async task runs of the concurrent runner, on event loops.

Which loop. What async code submits on a loop of its own runs there too, as ``asyncio.create_task`` would
have it: tasks share clients, locks and queues with the flow that made them, and those belong to one loop.
A sync flow has no loop, so its async tasks run on one of the engine's. If async code blocks its loop (it
calls ``future.result()`` instead of awaiting), what has not started there goes to a loop of the
engine's; a wait for a task that has started on the blocked loop would never end, and is refused.

Task runs are started in batches: many that become ready at once cost one wake-up of the loop. The limit
counts those that can go on. A task that waits for another one does not count, nor do those that share a
loop with a task that blocks it: they cannot go on, and what it waits for may need their place.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from flowdeck.lifecycle.execution import Execution
from flowdeck.runs import lost
from flowdeck.threads import loop
from flowdeck.threads.active import running_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterator

    from flowdeck.runs.task_run import TaskRun

#: The level of one of the engine's user loops, or a flow's own loop.
_Place = Any


def _loop_at(place: _Place) -> asyncio.AbstractEventLoop:
    return loop.user_loop(place) if isinstance(place, int) else place


def _refuse_to_wait_for_itself(event_loop: Any, runs: Collection[TaskRun]) -> None:
    """Refuse a wait that would never end.

    Raises:
        RuntimeError: one of the runs is, or waits for, one that has started on the blocked loop.
    """
    awaited = set(runs)
    for owner in {run.owner for run in runs}:
        for started in owner.submissions.open.copy():
            if started.loop is not event_loop or not started.run_count:
                continue
            stack, seen = [started], set()
            while stack:
                run = stack.pop()
                if run in awaited:
                    raise RuntimeError(
                        f"This call blocks the event loop until task run {run.name!r} has ended, which "
                        f"needs {started.name!r}, and that one runs on this event loop: await it "
                        "first, or call from a thread (`await asyncio.to_thread(future.result)`)."
                    )
                if run not in seen:
                    seen.add(run)
                    stack += [dependent for dependent, _ in run.dependents or ()]


class _Queue:
    """Async task runs that are to start on one loop."""

    __slots__ = ("place", "ready", "scheduled", "taken")

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.ready: deque[TaskRun] = deque()
        self.scheduled = False
        self.taken: TaskRun | None = None  # not started yet


class LoopPool:
    """Async task runs on their flow's own loop or on the engine's user loops.

    Args:
        limit: how many may execute at the same time; ``None`` for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._place_of: dict[TaskRun, _Place] = {}  # those that execute or wait; with a limit only
        self._executing: Counter[_Place] = Counter()  # without those that wait
        self._stalled: set[_Place] = set()  # places whose loop is blocked
        self._queues: dict[_Place, _Queue] = {}
        self._blocked: Counter[Any] = Counter()  # loops of flows that wait for something
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, run: TaskRun) -> None:
        """Queue a task run for a loop that the code that submitted it cannot block."""
        context = run.context
        if context is None:  # ended meanwhile
            return
        with self._lock:
            place: _Place = run.loop
            if place is None or self._blocked[place]:
                run.loop, place = None, loop.level(context)
            queue = self._queues.get(place)
            if queue is None:
                queue = self._queues.setdefault(place, _Queue(place))
            queue.ready.append(run)
        self._schedule(queue)

    @contextlib.contextmanager
    def blocked(self, event_loop: Any, runs: Collection[TaskRun]) -> Iterator[None]:
        """The loop waits for ``runs`` and does nothing else meanwhile."""
        with self._lock:
            self._blocked[event_loop] += 1
            queue = self._queues.get(event_loop)
            elsewhere = [] if queue is None else list(queue.ready)
            if queue is not None:
                queue.ready.clear()
        try:
            for run in elsewhere:
                self.add(run)
            _refuse_to_wait_for_itself(event_loop, runs)
            yield
        finally:
            with self._lock:
                self._blocked[event_loop] -= 1

    def _schedule(self, queue: _Queue) -> None:
        try:
            with self._lock:
                if queue.scheduled:
                    return
                queue.scheduled = True
            _loop_at(queue.place).call_soon_threadsafe(self._start_ready, queue)
        except BaseException:  # no loop can be started, or an alarm of the user's
            queue.scheduled = False
            raise

    def _start_ready(self, queue: _Queue) -> None:
        queue.scheduled = False
        try:
            while (run := self._take_next(queue)) is not None:
                self._start(run, queue)
                queue.taken = None
        except BaseException as error:  # an alarm of the user's, on a loop that is the user's
            run, queue.taken = queue.taken, None
            if run is not None:
                lost.end_task_run(run, error)
            if queue.ready:
                self._schedule(queue)
            raise

    def _start(self, run: TaskRun, queue: _Queue) -> None:
        context = run.context
        if context is None:
            self._free(run)
            return
        task = _loop_at(queue.place).create_task(
            self._run(run, queue.place), name=run.name, context=context
        )
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._done, run))

    def _done(self, run: TaskRun, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not run.is_final:  # something struck where nobody could see to it
            lost.end_task_run(run, RuntimeError("It ended without its end being recorded."))

    def _take_next(self, queue: _Queue) -> TaskRun | None:
        with self._lock:
            if not queue.ready or self._is_full():
                return None
            queue.taken = run = queue.ready.popleft()
            if self._limit is not None:
                self._place_of[run] = queue.place
                self._executing[queue.place] += 1
            return run

    def _is_full(self) -> bool:
        if self._limit is None:
            return False
        able = (n for place, n in self._executing.items() if place not in self._stalled)
        return sum(able) >= self._limit

    async def _run(self, run: TaskRun, place: _Place) -> None:
        try:
            try:
                if isinstance(place, int):
                    loop.entered(place)
                await Execution(run).run_async()
            finally:
                self._free(run)
            run.owner.ended(run)
        except BaseException as error:
            lost.end_task_run(run, error)

    def _free(self, run: TaskRun) -> None:
        if self._limit is None:
            return
        with self._lock:
            place = self._place_of.pop(run, None)
            if place is not None:
                self._executing[place] -= 1
        self._start_others()

    def _start_others(self) -> None:
        for queue in list(self._queues.values()):
            if queue.ready:
                self._schedule(queue)

    def is_loop_of(self, run: TaskRun) -> bool:
        """Say whether this is the thread of the loop that executes ``run``."""
        place = self._place_of.get(run)
        return place is not None and running_loop() is _loop_at(place)

    def release(self, run: TaskRun, *, stalls: bool) -> None:
        """The task run waits for another one, and its loop with it if it ``stalls``."""
        if self._limit is None:
            return
        with self._lock:
            place = self._place_of[run]
            self._executing[place] -= 1
            if stalls:
                self._stalled.add(place)
        self._start_others()

    def reacquire(self, run: TaskRun, *, stalls: bool) -> None:
        """The task run goes on, at once: a loop cannot be made to wait."""
        if self._limit is None:
            return
        with self._lock:
            place = self._place_of[run]
            self._executing[place] += 1
            if stalls:
                self._stalled.discard(place)

    def drain(self) -> list[TaskRun]:
        """Take back all queued runs."""
        taken: list[TaskRun] = []
        for queue in list(self._queues.values()):
            while queue.ready:
                with contextlib.suppress(IndexError):
                    taken.append(queue.ready.popleft())
        return taken
