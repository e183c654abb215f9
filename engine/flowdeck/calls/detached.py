"""A task called outside of any flow run: it runs with its retries and time limit, unrecorded."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from flowdeck import logging
from flowdeck.inputs import nested
from flowdeck.inputs.given import draw
from flowdeck.lifecycle.execution import Execution
from flowdeck.runs import waiting
from flowdeck.runs.recorder import DROPPING
from flowdeck.runs.task_run import FlowRunInfo, TaskRun
from flowdeck.runs.upstreams import first_bad, not_ready, of_wait_for, runs_of
from flowdeck.settings import get_settings
from flowdeck.threads import active
from flowdeck.values.unawaited import named, to_be_awaited

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.definitions.bases import TaskDefinition
    from flowdeck.runs.upstreams import Upstream


def call_outside(
    task: TaskDefinition[Any, Any],
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run the task here; an async one gives an awaitable."""
    logging.setup()
    draw(parameters, task.binder.starred)
    outer = active.current_task_run.get()
    info = outer.info if outer is not None else _no_flow_run()
    tags = task.tags | active.current_tags()
    run = TaskRun(task, info, DROPPING, 0, 0, f"{task.name}-0", parameters, tags)
    upstreams = _upstreams(run, wait_for)
    if task.isasync:
        return named(_run_async(run, upstreams, return_state), task.call_name)
    waiting.wait(runs_of(upstreams))
    if not _blocked(run, upstreams):
        contextvars.copy_context().run(Execution(run).run_here)
    return run.state if return_state else run.state.value()


@to_be_awaited
async def _run_async(run: TaskRun, upstreams: list[Upstream], return_state: bool) -> Any:
    await waiting.wait_async(runs_of(upstreams))
    if not _blocked(run, upstreams):
        await Execution(run).run_async()
    return run.state if return_state else run.state.value()


def _no_flow_run() -> FlowRunInfo:
    settings = get_settings()
    return FlowRunInfo(
        "", "", "", log_prints=settings.log_prints, persist_result=settings.persist_results
    )


def _upstreams(run: TaskRun, wait_for: Iterable[Any] | None) -> list[Upstream]:
    waited = [] if wait_for is None else of_wait_for(wait_for)
    return waited + nested.find(list((run.parameters or {}).values()))


def _blocked(run: TaskRun, upstreams: list[Upstream]) -> bool:
    """Say whether an upstream did not complete; the run is then over."""
    bad = first_bad(upstreams)
    if bad is not None:
        run.enter(not_ready(bad))
    return bad is not None
