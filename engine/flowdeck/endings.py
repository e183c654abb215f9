"""What task runs and flow runs have in common when an attempt ends: the state that follows from the
value, what is recorded and kept of the value or failure, and what is logged."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from flowdeck import inputs
from flowdeck.exceptions import UnserialisableResult
from flowdeck.final_state import from_return_value
from flowdeck.logging import DEBUG, ERROR, INFO, WARNING, exception_text, line
from flowdeck.previews import preview, type_name
from flowdeck.results import KeptValue
from flowdeck.states import AwaitingRetry, Missing, State
from flowdeck.steps import WaitForRuns
from flowdeck.transitions import crash_message
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.times import at

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun

Run = Any  # TaskRun | FlowRun


def state_of_value(
    value: Any, children: Sequence[State[Any]] = ()
) -> Generator[WaitForRuns, Any, State[Any]]:
    """Wait for the futures in what a function returned, and decide the state that it means.

    Args:
        value: what the function returned.
        children: see :func:`~flowdeck.final_state.from_return_value`.
    """
    pending: list[TaskRun] = []

    def put(item: Any) -> Any:
        if isinstance(item, State):
            return item
        if not item.task_run.is_final:
            pending.append(item.task_run)
        return item.task_run.state

    resolved = inputs.replace(value, put, unwrap=False)
    if pending:
        yield WaitForRuns(list(pending))
        resolved = inputs.replace(value, put, unwrap=False)
    state = from_return_value(resolved, children)
    if state is not resolved:
        return state
    # A state that the function made itself, maybe once for all runs: it must stay what it is.
    details = None if state._details is None else dataclasses.replace(state._details)
    return State(state.type, state.name, state.message, state.data, details)


def keep_result(
    run: Run,
    state: State[Any],
    serializer: str,
    *,
    wanted: bool,
    in_memory: bool,
    inputs: str | None = None,
) -> str | None:
    """Write the value of a completed run to disk if that is wanted, record what it looks like, and
    drop it from memory if it is to be dropped and can be had back (or is not to be kept at all).

    Returns:
        Where it is kept, if it is.
    """
    value = state.data
    location, size = None, None
    if wanted:
        try:
            location, size = run.recorder.results.write(value, serializer, inputs)
        except (UnserialisableResult, OSError) as error:
            line(run, WARNING, f"The result is kept in memory only: {error}")
    record_result(run, value, size, location)
    if not in_memory:
        if location is not None:
            state.data = KeptValue(run.recorder.results, location)
        elif not wanted:
            state.data = Missing()
    return location


def record_result(run: Run, value: Any, size: int | None, location: str | None) -> None:
    """Record type and preview; a plain ``None`` says nothing and is left out."""
    if value is None and location is None:
        return
    run.recorder.emit(
        events.result(
            run.info.uid, run.no, now_us(), type_name(value), size, preview(value), location
        )
    )


def record_failure(run: TaskRun | FlowRun, state: State[Any], error: BaseException | None) -> None:
    """Record the exception that an attempt ended in."""
    if error is None and isinstance(state.data, BaseException):
        error = state.data
    if error is None or state.is_cancelled():
        return
    from flowdeck.failures import capture

    found = capture(error)
    run.recorder.emit(
        events.failure(
            run.info.uid, run.no, now_us(), run.run_count or 1, found.exc_type, found.exc_msg,
            found.structure, found.variables,
        )
    )  # fmt: skip


def report(run: Run, error: BaseException) -> None:
    """Log an exception that ended a call of the user's function."""
    if not isinstance(error, Exception):
        report_crash(run, error)
        return
    from flowdeck.failures import capture

    exception_text(run, capture(error).text)


def report_crash(run: Run, error: BaseException) -> None:
    """Log what ended a run that is not the function's own failure."""
    from flowdeck.failures import capture

    line(run, ERROR, f"Crash detected! {crash_message(error)}")
    line(run, DEBUG, f"Crash details:\n{capture(error).text}")


def await_retry(run: TaskRun | FlowRun, failed: State[Any], delay: float) -> None:
    """Enter ``AwaitingRetry`` instead of the state of a failed attempt.

    Args:
        run: the run.
        failed: the state that the attempt ended in.
        delay: seconds until the next one.
    """
    at_us = now_us() + int(delay * 1e6)
    state = AwaitingRetry(at(at_us), message=failed.message)
    run.enter(state, json.dumps({"retry_at_us": at_us}))
    line(
        run,
        INFO,
        f"Received non-final state {state.name!r} when proposing final state {failed.name!r} and "
        "will attempt to run again...",
    )
