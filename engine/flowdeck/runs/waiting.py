"""Waiting for task runs from threads and from event loops.

Two ways lead into a deadlock here, and engines have taken both. Tasks that wait for tasks may sit on
all threads that these need: so a thread that waits inside a task gives its slot in the task runner
back meanwhile, and what only has to wait for its inputs never gets a thread at all (see
:mod:`flowdeck.runs.scheduler`). And two event loops may wait for each other: so a sync call that
blocks a loop says so to the runner, which starts elsewhere what waits for that loop.

There is one lock for all task runs of the process. It is held for a few bytecodes, and a lock for each
of 100,000 runs would cost memory and an order in which to take them. Who waits gets a lock of their
own that the end of the run releases; nobody polls, but for a wait on a loop, which asyncio alone wakes.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from flowdeck.runs.scheduler import UpstreamEnd
from flowdeck.threads import active, patience
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flowdeck.runs.task_run import TaskRun

#: Guards outcomes, dependents and callbacks of all task runs of the process: held for a few
#: bytecodes at a time, never while anything is called or waited for.
lock = threading.Lock()


#: Who waits now, by what ends the wait: the flow run and the task run (``None``: the flow's own code)
#: that the waiting code belongs to, and the run that it waits for.
waits: dict[Any, tuple[Any, TaskRun | None, TaskRun]] = {}

#: Seconds after which a wait on a loop looks itself: an alarm of the user's may have struck in the
#: callback that was to wake it, which asyncio only logs.
_LOOK_AGAIN = 1.0


def on_end(run: TaskRun, callback: Any) -> bool:
    """Have ``callback(run)`` called once when the run ends, on the thread that ends it.

    Returns:
        ``False`` if it had ended already (the callback is then not kept).
    """
    with lock:
        if run.outcome is not UpstreamEnd.WAITING:
            return False
        if run.callbacks is None:
            run.callbacks = []
        run.callbacks.append(callback)
        return True


def call_back(run: TaskRun) -> None:
    """Call what waits for the end of a run that has ended, in order.

    What was called is taken from the list only then, so whoever does it again after an exception
    struck here leaves nobody out; being called twice does no harm to these functions.
    """
    while True:
        with lock:
            if not run.callbacks:
                run.callbacks = None
                return
            callback = run.callbacks[0]
        callback(run)
        forget(run, callback)


def forget(run: TaskRun, callback: Any) -> None:
    """Take back a callback that is no longer wanted."""
    with lock:
        if run.callbacks is not None and callback in run.callbacks:
            run.callbacks.remove(callback)


def wait(runs: Iterable[TaskRun], timeout: float | None = None) -> bool:
    """Block this thread until all runs have ended.

    Args:
        runs: any number of them.
        timeout: seconds for all together.

    Returns:
        Whether all have ended.

    Raises:
        FlowCancelled: the flow run that the caller belongs to was cancelled meanwhile.
    """
    deadline = None if timeout is None else clock.monotonic() + timeout
    worker_run, runner = _executing()
    here = active.running_loop()
    if worker_run is None and here is None:
        return _wait_each(runs, deadline)
    pending = [run for run in runs if run.outcome is UpstreamEnd.WAITING]
    if not pending:
        return True
    with _slot_given_back(pending, worker_run, runner, here):
        return _wait_each(pending, deadline)


@contextlib.contextmanager
def _slot_given_back(
    pending: list[TaskRun], worker_run: TaskRun | None, runner: Any, here: Any
) -> Iterator[None]:
    """Around a wait of this thread: others use its slot, and its loop's work is done elsewhere."""
    with contextlib.ExitStack() as waits:
        if here is not None:
            for owner in {run.owner for run in pending if run.owner is not None}:
                waits.enter_context(owner.runner.loop_blocked(here, pending))
        if worker_run is not None:
            waits.enter_context(runner.blocked(worker_run))
        yield


@contextlib.contextmanager
def slot_free(*, awaits: bool = False) -> Iterator[None]:
    """Around a wait of the caller for something else than a run: if it is part of a task run, others
    use its slot in the task runner.

    Args:
        awaits: whether the loop that executes it goes on meanwhile.
    """
    worker_run, runner = _executing()
    if worker_run is None:
        yield
        return
    with runner.blocked(worker_run, awaits=awaits):
        yield


def _executing() -> tuple[TaskRun | None, Any]:
    """Return the task run that the caller is part of and the runner whose slot it holds.

    A task or flow that was called directly in a task's function executes in that task's slot.
    """
    run = active.current_task_run.get()
    if run is None:
        flow_run: Any = active.current_flow_run.get()
        run = None if flow_run is None else flow_run.called_in
    while run is not None and run.direct:
        run = run.called_in or run.owner.called_in
    if run is None or run.owner is None:
        return None, None
    return run, run.owner.runner


def _wait_each(runs: Iterable[TaskRun], deadline: float | None) -> bool:
    for run in runs:
        if run.outcome is not UpstreamEnd.WAITING:
            continue
        gate = threading.Lock()
        gate.acquire()

        def release(_: Any, gate: threading.Lock = gate) -> None:
            if gate.locked():
                gate.release()

        if not on_end(run, release):
            continue
        waits[gate] = active.current_flow_run.get(), active.current_task_run.get(), run
        try:
            ended = patience.until_open(gate, deadline)
        except BaseException:
            forget(run, release)
            raise
        finally:
            waits.pop(gate, None)
        if not ended:
            forget(run, release)
            return False
    return True


async def wait_async(runs: Iterable[TaskRun], timeout: float | None = None) -> bool:
    """As :func:`wait`, for the event loop that the caller runs in."""
    worker_run, runner = _executing()
    if worker_run is None:
        return await _await_each(runs, timeout)
    with runner.blocked(worker_run, awaits=True):
        return await _await_each(runs, timeout)


async def _await_each(runs: Iterable[TaskRun], timeout: float | None) -> bool:
    import asyncio

    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    for run in runs:
        while run.outcome is UpstreamEnd.WAITING:
            ended = loop.create_future()

            def wake(_: Any, ended: asyncio.Future[None] = ended) -> None:
                try:
                    loop.call_soon_threadsafe(_set, ended)
                except RuntimeError:
                    pass  # the loop was closed while a run that nobody waits for any more went on

            if not on_end(run, wake):
                break
            waits[ended] = active.current_flow_run.get(), active.current_task_run.get(), run
            try:
                left = _LOOK_AGAIN if deadline is None else max(deadline - loop.time(), 0.0)
                await asyncio.wait_for(ended, min(left, _LOOK_AGAIN))
            except TimeoutError:
                if left <= _LOOK_AGAIN and deadline is not None:
                    return False
            finally:
                waits.pop(ended, None)
                forget(run, wake)
    return True


def _set(future: Any) -> None:
    if not future.done():
        future.set_result(None)


class Arrivals:
    """Task runs in the order in which they end, for one who waits for the next of them.

    Every run is told once of who waits, and not again for each that ends: 10,000 of them are one
    after the other in no time.

    Args:
        runs: any number of them; those that have ended come first, in this order.
    """

    def __init__(self, runs: Iterable[TaskRun]) -> None:
        self._ended: deque[TaskRun] = deque()
        self._wake: Callable[[], None] | None = None
        #: Those that were not given out yet.
        self.left: dict[TaskRun, None] = dict.fromkeys(runs)
        for run in self.left:
            if not on_end(run, self._arrived):
                self._ended.append(run)

    def _arrived(self, run: TaskRun) -> None:
        self._ended.append(run)
        wake = self._wake
        if wake is not None:
            wake()

    def _take(self) -> TaskRun | None:
        while self._ended:
            run = self._ended.popleft()
            if run in self.left:  # a run may be told twice
                del self.left[run]
                return run
        return None

    def next(self, timeout: float | None = None) -> TaskRun | None:
        """Wait on this thread for the next run to end.

        Args:
            timeout: seconds.

        Returns:
            The run; ``None`` if none is left, or none ended in time.

        Raises:
            FlowCancelled: the flow run that the caller belongs to was cancelled meanwhile.
        """
        run = self._take()
        if run is not None or not self.left:
            return run
        deadline = None if timeout is None else clock.monotonic() + timeout
        worker_run, runner = _executing()
        here = active.running_loop()
        if worker_run is None and here is None:
            return self._wait_next(deadline)
        with _slot_given_back(list(self.left), worker_run, runner, here):
            return self._wait_next(deadline)

    def _wait_next(self, deadline: float | None) -> TaskRun | None:
        while True:
            gate = threading.Lock()
            gate.acquire()
            self._wake = _opener(gate)
            run = self._take()
            if run is not None:
                return run
            with self._waiting(gate):
                if not patience.until_open(gate, deadline):
                    return self._take()

    async def next_async(self, timeout: float | None = None) -> TaskRun | None:
        """As :meth:`next`, on this loop."""
        run = self._take()
        if run is not None or not self.left:
            return run
        worker_run, runner = _executing()
        if worker_run is None:
            return await self._await_next(timeout)
        with runner.blocked(worker_run, awaits=True):
            return await self._await_next(timeout)

    async def _await_next(self, timeout: float | None) -> TaskRun | None:
        import asyncio

        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            ended = loop.create_future()

            def wake(ended: asyncio.Future[None] = ended) -> None:
                with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(_set, ended)

            self._wake = wake
            run = self._take()
            if run is not None:
                return run
            left = _LOOK_AGAIN if deadline is None else max(deadline - loop.time(), 0.0)
            try:
                with self._waiting(ended):
                    await asyncio.wait_for(ended, min(left, _LOOK_AGAIN))
            except TimeoutError:
                if left <= _LOOK_AGAIN and deadline is not None:
                    return self._take()

    @contextlib.contextmanager
    def _waiting(self, key: Any) -> Iterator[None]:
        first = next(iter(self.left))
        waits[key] = active.current_flow_run.get(), active.current_task_run.get(), first
        try:
            yield
        finally:
            waits.pop(key, None)
            self._wake = None

    def leave(self) -> None:
        """Wait for none of them any more."""
        for run in self.left:
            forget(run, self._arrived)
        self.left = {}


def _opener(gate: threading.Lock) -> Callable[[], None]:
    def release() -> None:
        with contextlib.suppress(RuntimeError):  # another run has released it
            gate.release()

    return release
