"""Calls and submissions of tasks inside a flow run, from the bound arguments to the task run.

A run that is entered here ends, whatever happens: what escapes before it is handed over, or before a
call has returned, ends it (see :mod:`flowdeck.runs.lost`). That is why making a run and entering it are
two steps: until the second one nobody knows of it, and from its first line on it is taken care of.
"""

from __future__ import annotations

from contextlib import nullcontext
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import INFO, line
from flowdeck.runs import lost, waiting
from flowdeck.runs.task_run import AWAITED
from flowdeck.runs.upstreams import first_bad, runs_of
from flowdeck.stopping.cancellation import Uninterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import Common, TaskRun
    from flowdeck.runs.upstreams import Upstream

_NOT_SHIELDED: Final = nullcontext()


def call(
    flow_run: FlowRun, task: TaskDefinition[Any, Any], parameters: dict[str, Any], wait_for: Any
) -> TaskRun:
    """Run a task on this thread; return its run, which has ended."""
    from flowdeck.lifecycle.execution import execute_here

    submissions = flow_run.submissions
    run, upstreams, edges, good = submissions.make(task, parameters, wait_for, direct=get_ident())
    with Uninterrupted(flow_run) if task.always else _NOT_SHIELDED:
        try:
            _enter(flow_run, run, edges, good)
            waiting.wait(runs_of(upstreams))
            if _may_run(flow_run, run, upstreams):
                execute_here(run)
        except BaseException as error:
            lost.end_task_run(run, error)
            raise
    return run


async def call_async(
    flow_run: FlowRun, task: TaskDefinition[Any, Any], parameters: dict[str, Any], wait_for: Any
) -> TaskRun:
    """As :func:`call`, on this loop."""
    from flowdeck.lifecycle.execution import execute_on_this_loop

    submissions = flow_run.submissions
    run, upstreams, edges, good = submissions.make(task, parameters, wait_for, direct=AWAITED)
    try:
        _enter(flow_run, run, edges, good)
        with _shielded(task):
            await waiting.wait_async(runs_of(upstreams))
            if _may_run(flow_run, run, upstreams):
                await execute_on_this_loop(run)
    except BaseException as error:
        lost.end_task_run(run, error)
        raise
    return run


def _enter(
    flow_run: FlowRun, run: TaskRun, edges: Any, good: bool, map_index: int | None = None
) -> None:
    flow_run.submissions.enter(run, edges, map_index)
    if not good and not run.is_final:
        from flowdeck.lifecycle.execution import execute_here

        execute_here(run)  # fails before its function is called, whatever the runner


def _shielded(task: TaskDefinition[Any, Any]) -> AbstractContextManager[object]:
    """Return a block that no request to stop the flow run gets into, where that goes for the task.

    A function on a loop is stopped by a scope that cancels each of its awaits, in a ``finally:``
    too. The bound for cleaning up ends the task run itself.
    """
    if not task.always:
        return _NOT_SHIELDED
    import anyio

    return anyio.CancelScope(shield=True)


def _may_run(flow_run: FlowRun, run: TaskRun, upstreams: list[Upstream]) -> bool:
    """Say whether a called task, whose upstreams have ended, is to be executed."""
    if run.is_final:
        return False
    submissions = flow_run.submissions
    bad = first_bad(upstreams)
    if bad is not None:
        submissions.block(run, bad)
        return False
    if submissions.reuse is not None and submissions.reuse.serve(run):
        submissions.ended(run)
        return False
    line(flow_run, INFO, f"Executing {run.name!r} immediately...", clean=True)
    return True


def submit(
    flow_run: FlowRun,
    task: TaskDefinition[Any, Any],
    parameters: dict[str, Any],
    wait_for: Any,
    map_index: int | None = None,
    mapped: Sequence[tuple[str, Any]] = (),
    common: dict[str, Common] | None = None,
) -> TaskRun:
    """Hand a run of a task to the flow run's task runner; return the run.

    Args:
        flow_run: to which the run belongs.
        task: the task.
        parameters: bound, defaults included.
        wait_for: further upstreams.
        map_index: which child of a ``.map`` it is.
        mapped: (parameter, future or state) to record besides those found in the parameters.
        common: which of its arguments all children of the ``.map`` have in common.
    """
    submissions = flow_run.submissions
    run, upstreams, edges, good = submissions.make(task, parameters, wait_for, edges=mapped)
    with Uninterrupted(flow_run) if task.always else _NOT_SHIELDED:
        try:
            run.common = common
            _enter(flow_run, run, edges, good, map_index)
            submissions.dispatch(run, upstreams)
        except BaseException as error:
            lost.end_task_run(run, error)
            raise
    return run  # what was put off meanwhile is raised at the end of the block: the run goes on


async def submit_async(
    flow_run: FlowRun,
    task: TaskDefinition[Any, Any],
    parameters: dict[str, Any],
    wait_for: Any,
    map_index: int | None = None,
    mapped: Sequence[tuple[str, Any]] = (),
    common: dict[str, Common] | None = None,
) -> TaskRun:
    """As :func:`submit`, for an async task of an async flow."""
    submissions = flow_run.submissions
    run, upstreams, edges, good = submissions.make(task, parameters, wait_for, edges=mapped)
    from flowdeck.threads import loop

    run.loop = loop.own_of_the_flow()
    try:
        run.common = common
        _enter(flow_run, run, edges, good, map_index)
        with _shielded(task):
            await submissions.dispatch_async(run, upstreams)
    except BaseException as error:
        lost.end_task_run(run, error)
        raise
    return run
