"""Variables of failed functions go when nobody can ask for them any more.

An exception keeps the frames that it came through, and they their variables. A flow run keeps the
states of its task runs until it ends, so 30 caught failures of a function that had read 20 MB would
hold 600 MB. What the record shows of the frames was taken when the function failed. So, at each
later failure, some earlier ones are looked at: where no future, no state and no exception is in
anybody's hands, the frames are cleared; the exception itself, with its lines, stays.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from flowdeck.runs.scheduler import UpstreamEnd

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from flowdeck.runs.task_run import TaskRun

#: Earlier failures that are looked at when there is a new one.
_LOOKS: Final = 4
_OURS: Final = os.path.dirname(os.path.dirname(__file__)) + os.sep
_SUSPENDS: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
#: Coroutines of ours that are over when an exception came through them.
_PASSED: Final = frozenset(
    {
        "result_async", "_result_async", "value_async", "call_async", "_call_async", "finished_async",
        "Call.carry_out_async",
    }
)  # fmt: skip
#: Those that a run executes in: over when it has ended, unless it was given up.
_DRIVERS: Final = frozenset({"Driver.run_async", "Execution.run_async", "LoopPool._run"})


class Fading:
    """Failed task runs of a flow run whose frames have their variables still."""

    def __init__(self) -> None:
        self._kept: deque[tuple[TaskRun, TracebackType]] = deque()

    def add(self, run: TaskRun) -> None:
        """Take in a run that has just failed, and let go of earlier ones; from any thread."""
        for _ in range(min(_LOOKS, len(self._kept))):
            try:
                kept = self._kept.popleft()
            except IndexError:  # another thread took it
                break
            if not _fade(*kept):
                self._kept.append(kept)
        error = run.state.data
        if isinstance(error, BaseException) and error.__traceback__ is not None:
            self._kept.append((run, error.__traceback__))


def _fade(run: TaskRun, traceback: TracebackType) -> bool:
    """Clear the frames of a failure if it is in nobody's hands; say whether that was so."""
    state = run.state
    error = state.data
    _clear_ours(run, error.__traceback__)
    # Known are: for a run the tuple that holds it, this function's variable (in both `add` and
    # here: an argument that is unpacked has one reference more), the call, the list of the flow's.
    in_list = 1 if run.called_in is None else 0
    if sys.getrefcount(run) > 3 + in_list or sys.getrefcount(state) > 3:
        return False
    if sys.getrefcount(error) > 3:
        return False
    own = getattr(run.task.fn, "__code__", None)
    step: TracebackType | None = traceback
    while step is not None:
        _clear(step.tb_frame, certain=step.tb_frame.f_code is own)
        step = step.tb_next
    _fade_chain(error)
    return True


def _clear_ours(run: TaskRun, step: TracebackType | None) -> None:
    """Clear frames of the engine's through which the exception was handed on: they hold the run, and
    nobody looks at them."""
    while step is not None:
        frame: FrameType | None = step.tb_frame
        while frame is not None and frame.f_code.co_filename.startswith(_OURS):  # and its callers
            if _is_over(run, frame):
                try:
                    frame.clear()
                except RuntimeError:
                    pass  # it executes
            frame = frame.f_back
        step = step.tb_next


def _is_over(run: TaskRun, frame: FrameType) -> bool:
    """Say whether a frame of ours may be cleared: one that is only suspended must not be."""
    code = frame.f_code
    if not code.co_flags & _SUSPENDS or code.co_name in _PASSED or code.co_qualname in _PASSED:
        return True
    # From Python 3.12 on they are kept with the exception; those of its callers may be waiting.
    return (
        code.co_qualname in _DRIVERS
        and run.outcome is not UpstreamEnd.WAITING
        and not run.cancel_requested
        and frame.f_locals.get("run") is run
    )


def _fade_chain(error: BaseException) -> None:
    seen = {id(error)}
    chain = [error.__cause__, error.__context__]
    while chain:
        other = chain.pop()
        if other is None or id(other) in seen:
            continue
        seen.add(id(other))
        step = other.__traceback__
        while step is not None:
            _clear(step.tb_frame, certain=False)
            step = step.tb_next
        chain += [other.__cause__, other.__context__]


def _clear(frame: FrameType, *, certain: bool) -> None:
    """Clear a frame unless it executes; one that may only be suspended must not be touched."""
    code = frame.f_code
    if code.co_filename.startswith(_OURS) or (not certain and code.co_flags & _SUSPENDS):
        return
    try:
        frame.clear()
        frame.f_locals  # noqa: B018 - a copy that was asked for before follows only when asked again
    except RuntimeError:
        pass  # it executes
