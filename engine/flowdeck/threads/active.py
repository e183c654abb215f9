"""Which run the current code works for, and the tags in force: context variables, so threads that
the engine starts and async tasks see the run that started them.

This is what everything below the runs themselves needs to know of them: whose log line it is, who
started a child process, whether settings may change now. So the variables know nothing of the
classes of runs; :mod:`flowdeck.context` shows them to users.
"""

from __future__ import annotations

import contextlib
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Context

#: The flow run whose body (or task) is executing; only in the flow's own process.
current_flow_run: ContextVar[Any] = ContextVar("flowdeck_flow_run", default=None)
#: The task run that is executing; on workers too.
current_task_run: ContextVar[Any] = ContextVar("flowdeck_task_run", default=None)
#: The transaction in whose block the current code was started; only in the flow's own process.
current_transaction: ContextVar[Any] = ContextVar("flowdeck_transaction", default=None)
#: A run, and whether what it calls now besides its function is async.
_special: ContextVar[tuple[Any, bool] | None] = ContextVar("flowdeck_special_code", default=None)
tags_in_force: ContextVar[frozenset[str]] = ContextVar("flowdeck_tags", default=frozenset())


class RunContext:
    """What users are given of a run; :mod:`flowdeck.context` says what they see of it."""

    __slots__ = ("_run",)

    def __init__(self, run: Any) -> None:
        self._run = run


def run_of(context: RunContext) -> Any:
    """Return the run behind what users were given."""
    return context._run


def current_run() -> Any:
    """Return the task run that executes here, else the flow run, else ``None``."""
    return current_task_run.get() or current_flow_run.get()


def transaction_of(context: Context | None) -> Any:
    """Return the transaction of a run with this context, ``None`` if it is in none."""
    return None if context is None else context.get(current_transaction)


def here() -> tuple[Any, Any, Any, Any]:
    """Return what the current code belongs to, for :func:`restore`."""
    runs = current_flow_run.get(), current_task_run.get()
    return *runs, tags_in_force.get(), current_transaction.get()


def restore(before: tuple[Any, Any, Any, Any]) -> None:
    """Belong to that again."""
    current_flow_run.set(before[0])
    current_task_run.set(before[1])
    tags_in_force.set(before[2])
    current_transaction.set(before[3])


def current_tags() -> frozenset[str]:
    """Return the tags that :func:`flowdeck.context.tags` blocks put in force here."""
    return tags_in_force.get()


def with_current_tags(own: frozenset[str]) -> frozenset[str]:
    """Join tags and those in force; mostly one set is empty, and 100,000 task runs can share the
    other."""
    current = tags_in_force.get()
    if not current:
        return own
    return own | current if own else current


def running_loop() -> Any:
    """Return the event loop that runs in this thread, or ``None`` (without importing asyncio)."""
    # While another thread imports asyncio the module is there, but its functions are not yet.
    running = getattr(sys.modules.get("asyncio"), "_get_running_loop", None)
    return None if running is None else running()


def caller_is_async() -> bool:
    """Say whether the caller belongs to an async flow or task and a loop runs in this thread."""
    return running_loop() is not None and bool(_belongs_to_async())


def in_async_code() -> bool:
    """Say whether the caller can await: it belongs to an async flow or task (or to no run), and a
    loop runs in this thread."""
    return _belongs_to_async() is not False and running_loop() is not None


def _belongs_to_async() -> bool | None:
    """Say whether the code of the innermost run that executes is async; ``None`` outside of runs."""
    task_run = current_task_run.get()
    run: Any = task_run or current_flow_run.get()
    if run is None:
        return None
    special = _special.get()
    if special is not None and special[0] is run:
        return special[1]
    is_async: bool = run.flow.isasync if task_run is None else task_run.task.isasync
    return is_async


@contextlib.contextmanager
def special_code(*, is_async: bool) -> Iterator[None]:
    """Mark code of the user's that a run calls besides its function (a hook, a condition, a cache
    key): it can await, or cannot, as it was written, and not as the function was."""
    run = current_run()
    token = _special.set((run, is_async))
    try:
        yield
    finally:
        _special.reset(token)
