"""What is recorded and logged of an exception that ended a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck.logging import DEBUG, ERROR, exception_text, line
from flowdeck.states.transitions import crash_message
from flowdeck.values.statics import is_a
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.states import State

Run = Any  # TaskRun | FlowRun


class Failure:
    """An exception that ended an attempt, captured once: its reprs are code of the user's."""

    __slots__ = ("captured", "error")

    def __init__(self, error: BaseException) -> None:
        from flowdeck.failures.capture import capture

        self.error = error
        self.captured = capture(error)


def record_failure(run: Run, state: State[Any], failure: Failure | None) -> None:
    """Record the exception that an attempt ended in; without ``failure`` that of the state."""
    if state.is_cancelled():
        return
    if failure is None:
        if not is_a(state.data, BaseException):
            return
        failure = Failure(state.data)
    found = failure.captured
    if state.message is not None and found.secrets:
        state.message = found.without_secrets(state.message)
    run.recorder.emit(
        events.failure(
            run.info.uid, run.no, now_us(), run.run_count or 1, found.exc_type, found.exc_msg,
            found.structure, found.variables,
        )
    )  # fmt: skip


#: Each adds notes to exceptions of users' functions that it knows more about than they say.
explainers: list[Callable[[BaseException], None]] = []


def report(run: Run, error: BaseException) -> Failure:
    """Log an exception that ended a call of the user's function; return what was captured."""
    for explain in explainers:
        explain(error)
    failure = Failure(error)
    if isinstance(error, Exception):
        exception_text(run, failure.captured.text)
    else:
        report_crash(run, failure)
    return failure


def report_crash(run: Run, failure: Failure) -> None:
    """Log what ended a run that is not the function's own failure."""
    found = failure.captured
    text = found.without_secrets(crash_message(failure.error))
    line(run, ERROR, f"Crash detected! {text}")
    line(run, DEBUG, f"Crash details:\n{found.text}", clean=True)
