"""Runs that an exception left without an end, because it struck in the engine's lines between two of
the user's: an alarm whose handler raises, a recursion that reaches its limit here.

Whoever made such a run ends it before the exception goes on to the user's code. If that cannot be
done on the thread that was struck (near the recursion limit nothing can be called, an alarm may ring
again), then on a new one, which has the whole stack to itself and gets no signals.
"""

from __future__ import annotations

import _thread
import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.states import Crashed
from flowdeck.states.transitions import crash_message
from flowdeck.threads.engine_threads import engine_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.runs.task_run import TaskRun


#: Seconds to wait for the other thread: it may need a lock that the one which waits will give back.
_PATIENCE = 5.0


def end_task_run(run: TaskRun, error: BaseException) -> None:
    """End a task run whose call or submission raised instead of returning."""
    if not run.is_final:
        whatever_strikes(error, _crash_task_run, run, error)


def finish_ending(
    run: TaskRun, waiting: list[Any], ended: list[TaskRun], error: BaseException
) -> None:
    """The end of a task run was being entered: do that.

    Args:
        run: which has ended.
        waiting: (task run, verdict) of those that waited for it and may not have been started:
            they do not start.
        ended: others that have ended.
        error: what struck.
    """
    whatever_strikes(error, _finish_ending, run, waiting, ended, error)


def whatever_strikes(error: BaseException, function: Callable[..., object], *args: Any) -> None:
    """Call a function of the engine's that does no harm when it is called again.

    First here: an exception that struck in the middle of somebody's `acquire` may have left this
    thread with a lock that only this thread can get.
    """
    if not isinstance(error, RecursionError):
        with contextlib.suppress(BaseException):
            function(*args)
            return
    _on_another_thread(function, args)


def _on_another_thread(function: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Call a function there, and wait for it.

    This needs two frames of the stack: a C function starts the thread that starts the thread.
    """
    done = _thread.allocate_lock()
    done.acquire()
    try:
        _thread.start_new_thread(_start, (done, function, args))
    except RuntimeError:  # no more threads (RecursionError is one, too)
        function(*args)
    else:
        done.acquire(timeout=_PATIENCE)


def _start(done: Any, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    engine_thread("flowdeck-lost-run", _call, done, function, args).start()


def _call(done: Any, function: Callable[..., object], args: tuple[Any, ...]) -> None:
    try:
        function(*args)
    finally:
        done.release()


def _crash_task_run(run: TaskRun, error: BaseException) -> None:
    message = crash_message(error)
    try:
        run.owner.submissions.crash(run, message, error)
    except Exception:  # no file descriptor or memory left to say more: nobody must wait for it
        if not run.is_final:
            enter_at_least(run, message, error)
            run.owner.ended(run)


def enter_at_least(run: Any, message: str, error: BaseException) -> None:
    """Give a run a last state when there is no file descriptor or memory left to say more."""
    if not run.state.ends_run:
        state = Crashed(message=message, data=error)
        with contextlib.suppress(Exception):
            run.enter(state)
        run.state = state


def _finish_ending(
    run: TaskRun, waiting: list[Any], ended: list[TaskRun], error: BaseException
) -> None:
    submissions = run.owner.submissions
    if not run.is_final:
        submissions.ended(run)
        return
    left = [dependent for dependent, _ in [*waiting, *(run.dependents or ())]]
    run.context = run.parameters = run.common = run.interrupt = run.dependents = run.loop = None
    submissions.tidy_up(run)
    for dependent in left:
        _crash_task_run(dependent, error)
    for other in ended:
        submissions.ended(other)
