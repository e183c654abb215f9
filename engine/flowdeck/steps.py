"""What the deciding code asks its driver to do.

Lifecycles (of a task run, of a flow run) are generators: they decide, and yield one of these for
everything that takes time. A sync and an async driver carry them out, so nothing is decided twice.
The driver answers a :class:`Call` with an :class:`Outcome`.
"""

from __future__ import annotations

import inspect
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.runs import TaskRun


class Call:
    """Call the user's function. ``timeout`` in seconds, ``None`` for no limit."""

    __slots__ = ("args", "fn", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float | None,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.timeout = timeout


class CallHook:
    """Call a function of the user's that is not the run's own (hook, condition), sync or async."""

    __slots__ = ("fn", "kwargs")

    def __init__(self, fn: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        self.fn = fn
        self.kwargs = kwargs


class Sleep:
    """Wait some seconds; a worker thread may do something else meanwhile."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class WaitForRuns:
    """Wait until some task runs have ended."""

    __slots__ = ("runs",)

    def __init__(self, runs: list[TaskRun]) -> None:
        self.runs = runs


class Outcome:
    """How a call ended: ``error`` is ``None`` if it returned ``value``."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error


Step = Call | CallHook | Sleep | WaitForRuns


def finished(value: Any) -> Any:
    """Return what a function returned; of a generator the list of its items, made here, while the
    function's time limit holds and what it raises is the function's failure."""
    return list(value) if type(value) is GeneratorType else value


def run_hook(step: CallHook) -> Outcome:
    """Call a hook on this thread; an async one runs to its end on the engine's loop."""
    try:
        value = step.fn(**step.kwargs)
        if inspect.isawaitable(value):
            from flowdeck import loop

            value = loop.run(_awaited, value)
    except Exception as error:
        return Outcome(None, error)
    return Outcome(value)


async def run_hook_async(step: CallHook) -> Outcome:
    """Call a hook on this loop."""
    try:
        value = step.fn(**step.kwargs)
        if inspect.isawaitable(value):
            value = await value
    except Exception as error:
        return Outcome(None, error)
    return Outcome(value)


async def _awaited(value: Any) -> Any:
    return await value
