"""The run that the current code belongs to, as users see it, and the tags in force."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingContextError
from flowdeck.threads import active

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping

    from flowdeck.definitions.bases import FlowDefinition, TaskDefinition
    from flowdeck.runs.task_run import FlowRunLike, TaskRun
    from flowdeck.runs.views import FlowRunView


class FlowRunContext(active.RunContext):
    """A view of the flow run that the current code belongs to."""

    __slots__ = ()
    _run: FlowRunLike

    @classmethod
    def get(cls) -> FlowRunContext | None:
        """Return the current one, or ``None`` outside of flow runs."""
        run = active.current_flow_run.get()
        return None if run is None else cls(run)

    @property
    def flow(self) -> FlowDefinition[Any, Any]:
        return self._run.flow

    @property
    def flow_run(self) -> FlowRunView:
        from flowdeck.runs.views import FlowRunView

        return FlowRunView(self._run)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._run.info.parameters

    @property
    def start_time(self) -> datetime.datetime:
        """When the run started, aware UTC."""
        return self._run.info.start_time

    @property
    def task_runner(self) -> Any:
        return self._run.runner


class TaskRunContext(active.RunContext):
    """A view of the task run that the current code belongs to."""

    __slots__ = ()
    _run: TaskRun

    @classmethod
    def get(cls) -> TaskRunContext | None:
        """Return the current one, or ``None`` outside of task runs."""
        run = active.current_task_run.get()
        return None if run is None else cls(run)

    @property
    def task(self) -> TaskDefinition[Any, Any]:
        return self._run.task

    @property
    def task_run(self) -> TaskRun:
        return self._run

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self._run.parameters or {}

    @property
    def start_time(self) -> datetime.datetime:
        """When the task run started, aware UTC."""
        return self._run.start_time


def get_run_context() -> FlowRunContext | TaskRunContext:
    """Return the context of the innermost run: of the task run if there is one, else of the flow.

    Raises:
        MissingContextError: no run is active.
    """
    found = TaskRunContext.get() or FlowRunContext.get()
    if found is None:
        raise MissingContextError(
            "No run context available. You are not in a flow or task run context."
        )
    return found


@contextlib.contextmanager
def tags(*new_tags: str) -> Iterator[frozenset[str]]:
    """Add tags to all flow runs and task runs that are called inside the block."""
    merged = active.tags_in_force.get() | frozenset(new_tags)
    token = active.tags_in_force.set(merged)
    try:
        yield merged
    finally:
        active.tags_in_force.reset(token)
