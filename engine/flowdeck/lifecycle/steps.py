"""What the deciding code asks for, and how that is carried out on a thread and on a loop.

Lifecycles (of a task run, of a flow run, of an admission) are generators: they decide, and yield a
step for everything that takes time or calls code of users. A step carries itself out, in two ways that
stand side by side: on the calling thread and on the calling loop. So nothing is decided twice, what a
step means stands in one place, and :mod:`flowdeck.lifecycle.drive` only turns the crank.

Here are the steps that mean the same for all runs; those that call functions of tasks and flows are in
:mod:`flowdeck.lifecycle.task_steps` and :mod:`flowdeck.lifecycle.flow_steps`.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from flowdeck.definitions.definition import is_async
from flowdeck.inputs import nested
from flowdeck.runs import waiting
from flowdeck.threads import active, loop, patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowdeck.metrics.task_usage import Usage
    from flowdeck.runs.task_run import TaskRun


class CallResult:
    """How a call ended: ``error`` is ``None`` if it returned ``value``; ``usage`` is what it used, as
    far as anybody can tell."""

    __slots__ = ("error", "usage", "value")

    def __init__(
        self, value: Any, error: BaseException | None = None, usage: Usage | None = None
    ) -> None:
        self.value = value
        self.error = error
        self.usage = usage


class Step:
    """Something that takes time. What it is carried out for is a task run or a flow run."""

    __slots__ = ()

    def carry_out(self, run: Any) -> CallResult | None:
        """Do it on this thread; return what is sent into the lifecycle."""
        raise NotImplementedError  # pragma: no cover

    async def carry_out_async(self, run: Any) -> CallResult | None:
        """Do it on this loop."""
        raise NotImplementedError  # pragma: no cover


def traced(run: Any) -> contextlib.AbstractContextManager[None]:
    """Return what makes a run's span the current one, if it is in a trace."""
    if run.info.trace is None:
        return contextlib.nullcontext()
    from flowdeck.tracing.propagation import inside

    return inside(run)


class CallHook(Step):
    """Call a function of the user's that is not the run's own (hook, condition), sync or async."""

    __slots__ = ("fn", "kwargs")

    def __init__(self, fn: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
        self.fn = fn
        self.kwargs = kwargs

    def carry_out(self, run: Any) -> CallResult:
        """Call it on this thread; an async one runs to its end on one of the engine's loops."""
        try:
            with active.special_code(is_async=is_async(self.fn)):
                value = self.fn(**self.kwargs)
                if inspect.isawaitable(value) and not nested.is_future(value):
                    value = loop.run(_awaited, value)
        except Exception as error:
            return CallResult(None, error)
        return CallResult(value)

    async def carry_out_async(self, run: Any) -> CallResult:
        try:
            with active.special_code(is_async=is_async(self.fn)):
                value = self.fn(**self.kwargs)
                if inspect.isawaitable(value) and not nested.is_future(value):
                    value = await value
        except Exception as error:
            return CallResult(None, error)
        return CallResult(value)


class WaitForRuns(Step):
    """Wait until some task runs have ended."""

    __slots__ = ("runs",)

    def __init__(self, runs: list[TaskRun]) -> None:
        self.runs = runs

    def carry_out(self, run: Any) -> None:
        waiting.wait(self.runs)

    async def carry_out_async(self, run: Any) -> None:
        await waiting.wait_async(self.runs)


class Sleep(Step):
    """Wait some seconds, less if the run is asked to stop. Drivers that have other work for the
    thread meanwhile do not carry it out, but come back."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def carry_out(self, run: Any) -> None:
        wait_unless_cancelled(run, self.seconds)

    async def carry_out_async(self, run: Any) -> None:
        await sleep_on_loop(run, self.seconds, "interrupt")


def wait_unless_cancelled(run: Any, seconds: float) -> None:
    """Sleep, but wake when the run is asked to stop."""
    woken = threading.Event()
    before, run.interrupt = run.interrupt, woken.set
    try:
        if not run.cancel_requested:
            patience.until_set(woken, seconds)
    finally:
        run.interrupt = before


async def sleep_on_loop(run: Any, seconds: float, woken_by: str) -> None:
    """Sleep without blocking the loop, but wake when the run is asked to stop.

    Args:
        run: the task run or flow run.
        seconds: how long.
        woken_by: the attribute of the run where those who stop it find what wakes it.
    """
    import asyncio

    here = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody sleeps there any more
            here.call_soon_threadsafe(woken.set)

    before = getattr(run, woken_by)
    setattr(run, woken_by, wake)
    try:
        if not run.cancel_requested and seconds > 0:
            # Not by a timer of this loop, which may be the user's: its clock may have been stopped.
            loop.call_later(seconds, wake)
            await woken.wait()
    finally:
        setattr(run, woken_by, before)


# -- what functions of users return -------------------------------------------------------------------


def finished(value: Any) -> Any:
    """Return what a function returned; of a generator the list of its items, made here, while the
    function's time limit holds and what it raises is the function's failure."""
    if type(value) is AsyncGeneratorType:
        return loop.run(_drained, value)
    return list(value) if type(value) is GeneratorType else value


async def finished_async(call: Any) -> Any:
    """As :func:`finished`, of a call of an async function or async generator function."""
    value = call if type(call) is AsyncGeneratorType else await call
    return (await _drained(value)) if type(value) is AsyncGeneratorType else finished(value)


async def _drained(items: AsyncGeneratorType[Any, Any]) -> list[Any]:
    async with contextlib.aclosing(items):
        return [item async for item in items]


async def _awaited(value: Any) -> Any:
    return await value
