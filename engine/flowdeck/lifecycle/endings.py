"""What task runs and flow runs have in common when an attempt ends: the state that follows from the
value, what is recorded and kept of the value or failure, and what is logged."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import UnawaitedCall, UnserialisableResult
from flowdeck.inputs import nested
from flowdeck.lifecycle.steps import WaitForRuns
from flowdeck.logging import INFO, WARNING, line
from flowdeck.runs.results import KeptValue
from flowdeck.states import AwaitingRetry, Missing, State
from flowdeck.states.final_state import from_return_value
from flowdeck.states.transitions import state_of_exception
from flowdeck.values.outlines import outline_event
from flowdeck.values.previews import preview, type_name
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.times import at

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

Run = Any  # TaskRun | FlowRun

#: Draws the jitter of delays before retries.
rng = random.Random()


def state_of_value(
    value: Any, children: Sequence[State[Any]] = (), what: str = "Task"
) -> Generator[WaitForRuns, Any, State[Any]]:
    """Wait for the futures in what a function returned, and decide the state that it means.

    Args:
        value: what the function returned.
        children: see :func:`~flowdeck.states.final_state.from_return_value`.
        what: ``"Task"`` or ``"Flow"``.
    """
    pending: list[TaskRun] = []

    def state_of(item: Any) -> Any:
        if isinstance(item, State):
            return item
        if not item.task_run.is_final:
            pending.append(item.task_run)
        return item.task_run.state

    try:
        resolved = nested.replace(value, state_of, unwrap=False)
    except UnawaitedCall as error:
        return state_of_exception(error, what)
    if pending:
        yield WaitForRuns(list(pending))
        resolved = nested.replace(value, state_of, unwrap=False)
    state = from_return_value(resolved, children)
    if state is not resolved:
        return state
    # A state that the function made itself, maybe once for all runs: it must stay what it is.
    copied: State[Any] = state.copied()
    return copied


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
    """Record type, preview and outline; a plain ``None`` says nothing and is left out."""
    if value is None and location is None:
        return
    uid, text = run.info.uid, preview(value)
    run.recorder.emit(events.result(uid, run.no, now_us(), type_name(value), size, text, location))
    outlined = outline_event(uid, run.no, value, text, is_kept=location is not None)
    if outlined is not None:
        run.recorder.emit(outlined)


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


def seconds_until_retry(state: State[Any]) -> float:
    """Return how long a run that is *AwaitingRetry* still has to wait."""
    when = state.state_details.scheduled_time
    return 0.0 if when is None else max(when.timestamp() - now_us() / 1e6, 0.0)
