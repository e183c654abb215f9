"""Calling a task's function again: here, once, and nothing of it recorded."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck.cache_policies import NO_CACHE
from flowdeck.calls.detached import call_outside
from flowdeck.settings import using

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.debugging.debugger import Watched
    from flowdeck.tasks import Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: ``error`` is what it raised, without one ``value`` is what it returned."""

    value: Any = None
    error: BaseException | None = None


def call_alone(
    task: Task[..., Any],
    parameters: Mapping[str, Any],
    watched: Watched | None = None,
) -> Outcome:
    """Run a task as one that is called outside of flows, on this thread.

    No retries, no time limit, no cache, no hooks, no slots of tags: they would stand between the
    function and who looks at it. Prints go to the terminal.

    Args:
        task: of which a copy runs.
        parameters: by name, as they are bound.
        watched: calls the function, for a debugger.
    """
    alone = task.with_options(
        retries=0,
        timeout_seconds=0,
        log_prints=False,
        persist_result=False,
        cache_policy=NO_CACHE,
    )
    alone.task_run_name = None
    alone.tags = frozenset()
    for hooks in (alone.on_completion, alone.on_failure, alone.on_running):
        hooks.clear()
    if watched is not None:
        alone.fn = watched.wrapped(task.fn, task.isasync)
    call = functools.partial(call_outside, alone, dict(parameters), None, False)
    try:
        with using(persist_results=False):
            return Outcome(asyncio.run(_awaited(call)) if alone.isasync else call())
    except BaseException as error:
        return Outcome(error=error)


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()
