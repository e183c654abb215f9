"""Which run the current code belongs to, and the tags in force. Held in context variables, so
threads that the engine starts and async tasks see the run that started them."""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import MissingContextError

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping

    from flowdeck.flows import Flow
    from flowdeck.runs import FlowRunInfo, FlowRunLike, TaskRun
    from flowdeck.tasks import Task

#: The flow run whose body (or task) is executing; only in the flow's own process.
current_flow_run: ContextVar[FlowRunLike | None] = ContextVar("flowdeck_flow_run", default=None)
#: The task run that is executing; on workers too.
current_task_run: ContextVar[TaskRun | None] = ContextVar("flowdeck_task_run", default=None)
_tags: ContextVar[frozenset[str]] = ContextVar("flowdeck_tags", default=frozenset())


class FlowRunContext:
    """A view of the flow run that the current code belongs to."""

    __slots__ = ("_run",)

    def __init__(self, run: FlowRunLike) -> None:
        self._run = run

    @classmethod
    def get(cls) -> FlowRunContext | None:
        """Return the current one, or ``None`` outside of flow runs."""
        run = current_flow_run.get()
        return None if run is None else cls(run)

    @property
    def flow(self) -> Flow[Any, Any]:
        return self._run.flow

    @property
    def flow_run(self) -> FlowRunInfo:
        return self._run.info

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


class TaskRunContext:
    """A view of the task run that the current code belongs to."""

    __slots__ = ("_run",)

    def __init__(self, run: TaskRun) -> None:
        self._run = run

    @classmethod
    def get(cls) -> TaskRunContext | None:
        """Return the current one, or ``None`` outside of task runs."""
        run = current_task_run.get()
        return None if run is None else cls(run)

    @property
    def task(self) -> Task[Any, Any]:
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


def current_tags() -> frozenset[str]:
    """Return the tags that :func:`tags` blocks put in force here."""
    return _tags.get()


@contextlib.contextmanager
def tags(*new_tags: str) -> Iterator[frozenset[str]]:
    """Add tags to all flow runs and task runs that are called inside the block."""
    merged = _tags.get() | frozenset(new_tags)
    token = _tags.set(merged)
    try:
        yield merged
    finally:
        _tags.reset(token)


def running_loop() -> Any:
    """Return the event loop that runs in this thread, or ``None`` (without importing asyncio)."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


def caller_is_async() -> bool:
    """Say whether the caller belongs to an async flow or task and a loop runs in this thread."""
    if running_loop() is None:
        return False
    task_run = current_task_run.get()
    if task_run is not None:
        return task_run.task.isasync
    flow_run = current_flow_run.get()
    return flow_run is not None and flow_run.flow.isasync


def in_async_code() -> bool:
    """Say whether the caller can await: it belongs to an async flow or task (or to no run), and a
    loop runs in this thread."""
    run = current_task_run.get()
    if run is not None:
        can_await = run.task.isasync
    else:
        flow_run = current_flow_run.get()
        can_await = flow_run is None or flow_run.flow.isasync
    return can_await and running_loop() is not None
