"""Waiting for task runs from threads and from event loops.

A thread that waits inside a task gives its slot in the task runner back meanwhile, so tasks that
wait for tasks cannot use up a bounded pool.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from flowdeck import context
from flowdeck.scheduler import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.runs import TaskRun

#: Guards outcomes, dependents and callbacks of all task runs of the process: held for a few
#: bytecodes at a time, never while anything is called or waited for.
lock = threading.Lock()


def on_end(run: TaskRun, callback: Any) -> bool:
    """Have ``callback(run)`` called once when the run ends, on the thread that ends it.

    Returns:
        ``False`` if it had ended already (the callback is then not kept).
    """
    with lock:
        if run.outcome is not Outcome.WAITING:
            return False
        if run.callbacks is None:
            run.callbacks = []
        run.callbacks.append(callback)
        return True


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
    deadline = None if timeout is None else time.monotonic() + timeout
    worker_run, runner = _executing()
    if worker_run is None:
        return _wait_each(runs, deadline)
    pending = [run for run in runs if run.outcome is Outcome.WAITING]
    if not pending:
        return True
    with runner.blocked(worker_run):
        return _wait_each(pending, deadline)


def _executing() -> tuple[TaskRun | None, Any]:
    """Return the task run that the caller is part of and the runner whose slot it holds.

    A task or flow that was called directly in a task's function executes in that task's slot.
    """
    run = context.current_task_run.get()
    if run is None:
        flow_run: Any = context.current_flow_run.get()
        run = None if flow_run is None else flow_run.called_in
    while run is not None and run.direct:
        run = run.called_in or run.owner.called_in
    if run is None or run.owner is None:
        return None, None
    return run, run.owner.runner


def _wait_each(runs: Iterable[TaskRun], deadline: float | None) -> bool:
    for run in runs:
        if run.outcome is not Outcome.WAITING:
            continue
        gate = threading.Lock()
        gate.acquire()

        def release(_: Any, gate: threading.Lock = gate) -> None:
            gate.release()

        if not on_end(run, release):
            continue
        left = -1.0 if deadline is None else max(deadline - time.monotonic(), 0.0)
        try:
            ended = gate.acquire(timeout=left)
        except BaseException:
            forget(run, release)
            raise
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
        if run.outcome is not Outcome.WAITING:
            continue
        ended = loop.create_future()

        def wake(_: Any, ended: asyncio.Future[None] = ended) -> None:
            try:
                loop.call_soon_threadsafe(_set, ended)
            except RuntimeError:
                pass  # the loop was closed while a run that nobody waits for any more went on

        if not on_end(run, wake):
            continue
        try:
            left = None if deadline is None else max(deadline - loop.time(), 0.0)
            await asyncio.wait_for(ended, left)
        except TimeoutError:
            return False
        finally:
            forget(run, wake)
    return True


def _set(future: Any) -> None:
    if not future.done():
        future.set_result(None)
