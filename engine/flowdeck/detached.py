"""A task called outside of any flow run: it runs with its retries and time limit, unrecorded."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from flowdeck import context, inputs
from flowdeck.recording import DROPPING
from flowdeck.runs import FlowRunInfo, TaskRun
from flowdeck.task_run import Execution

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck.states import State
    from flowdeck.tasks import Task


def call_outside(
    task: Task[Any, Any],
    parameters: dict[str, Any],
    wait_for: Iterable[Any] | None,
    return_state: bool,
) -> Any:
    """Run the task here; an async one gives an awaitable."""
    inputs.materialise(parameters)
    for item, _ in inputs.find(list(wait_for or ())) + inputs.find(list(parameters.values())):
        if inputs.is_future(item):
            item._wait(None)
    outer = context.current_task_run.get()
    info = outer.info if outer is not None else FlowRunInfo("", "", "")
    tags = task.tags | context.current_tags()
    run = TaskRun(task, info, DROPPING, 0, 0, f"{task.name}-0", parameters, tags)
    if task.isasync:
        return _run_async(run, return_state)
    return _end(contextvars.copy_context().run(Execution(run).run_here), return_state)


async def _run_async(run: TaskRun, return_state: bool) -> Any:
    return _end(await Execution(run).run_async(), return_state)


def _end(state: State[Any], return_state: bool) -> Any:
    return state if return_state else state.value()
