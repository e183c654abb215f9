"""Executing flow runs: being inside the run while its lifecycle is driven, and ending it whatever comes."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from flowdeck.lifecycle import prints
from flowdeck.lifecycle.drive import Driver
from flowdeck.lifecycle.flow import crash, lifecycle
from flowdeck.logging import console
from flowdeck.output import notebook
from flowdeck.stalls import watch
from flowdeck.stopping import cancellation
from flowdeck.threads import active, child_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.states import State


def run_sync(run: FlowRun) -> State[Any]:
    """Execute a flow run whose function is not async, on this thread; returns its final state.

    Raises:
        BaseException: what crashed the run.
    """
    with _entered(run), cancellation.sigterm_stops(run):
        try:
            try:
                return Driver(run, lifecycle).run_here()  # type: ignore[no-any-return]
            finally:
                run.runner.stop()
        except BaseException as error:
            if not run.state.is_final():
                _ending(run, error).run_here()
            raise


async def run_async(run: FlowRun) -> State[Any]:
    """Execute a flow run whose function is async, on this loop; returns its final state.

    Raises:
        BaseException: what crashed the run.
    """
    import anyio
    import anyio.to_thread

    with _entered(run), cancellation.sigterm_stops(run), cancellation.Interruptible(run):
        try:
            try:
                return await Driver(run, lifecycle).run_async()  # type: ignore[no-any-return]
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(run.runner.stop)
        except BaseException as error:
            if not run.state.is_final():
                with anyio.CancelScope(shield=True):
                    await _ending(run, error).run_async()
            raise


def end_crashed(run: FlowRun, error: BaseException) -> None:
    """End a flow run from another thread than its own, which was struck where nobody expects it."""
    active.current_flow_run.set(run)
    _ending(run, error).run_here()


def _ending(run: FlowRun, error: BaseException) -> Driver:
    return Driver(run, functools.partial(crash, error=error))


def _in_a_notebook(run: FlowRun) -> contextlib.AbstractContextManager[None]:
    """Where the console leaves the engine's lines out, a line that lives stands for them."""
    if run.parent is None and console.on and console.engine_level > console.level:
        return notebook.live_line(run)
    return contextlib.nullcontext()


@contextlib.contextmanager
def _entered(run: FlowRun) -> Iterator[None]:
    """Be inside the run: context variables, prints, the list of live runs."""
    flow_token = active.current_flow_run.set(run)
    task_token = active.current_task_run.set(None)
    tags_token = active.tags_in_force.set(run.info.tags)
    cancellation.live[run.info.uid] = run
    watch.begin()
    child_processes.watch()
    try:
        with prints.captured(run.log_prints), _in_a_notebook(run):
            yield
    finally:
        cancellation.live.pop(run.info.uid, None)
        active.tags_in_force.reset(tags_token)
        active.current_task_run.reset(task_token)
        active.current_flow_run.reset(flow_token)
        if run.parent is None:
            run.recorder.flush(5.0)
            console.flush()
