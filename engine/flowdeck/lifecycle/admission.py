"""Whether a task run may be executed now: the half of its lifecycle that belongs to the flow's process.

Before each attempt somebody has to know whether the run was cancelled, whether the result is in the
cache already, and whether there is a slot for each limited tag. All of that lives in the store,
which workers of a cluster never see. So a lifecycle has two halves: *admission*, which always
happens in the flow's process, and *execution*, which happens where the task runs. Local runners
drive both, one after the other (:func:`flowdeck.lifecycle.task.lifecycle`); for cluster runners
:mod:`flowdeck.remote.admission` drives this half and hands the run to the engine when it is
through. Nothing is decided twice.

An attempt that is to be tried again gives its slots back, and is admitted anew when its time has
come. On a cluster an attempt that holds slots travels home for that, and is submitted again; one
without limited tags waits where it is, which costs nothing.

Tried before: a copy of this for clusters, beside the code that executes there. The copy held slots while
a run waited to be tried again, and took every error of the store for a request to cancel.

Runs that wait for a slot stand in line, see :mod:`flowdeck.runs.slots`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck import budgets, context
from flowdeck.definitions.definition import computed_name
from flowdeck.inputs import nested
from flowdeck.inputs.given import check_drawn
from flowdeck.lifecycle.endings import record_result
from flowdeck.lifecycle.steps import Sleep
from flowdeck.logging import DEBUG, WARNING, line
from flowdeck.runs import slots
from flowdeck.runs.failures import Failure, report
from flowdeck.runs.task_run import Slots
from flowdeck.runs.upstreams import value_of
from flowdeck.states import AwaitingConcurrencySlot, Cancelled, Completed, Crashed, State
from flowdeck.states.transitions import state_of_exception
from flowdeck.threads import active
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from flowdeck.runs.task_run import TaskRun

#: Seconds between two looks for a free slot by the first in a line, and by those behind it (which
#: are woken when it is their turn: this is for what nobody foresaw).
_LOOK: Final = 0.2
_SAFETY: Final = 1.0

#: How a run ends that is not executed: its state, and the failure if there was one.
Refusal = tuple[State[Any], Failure | None]


def prepare(run: TaskRun) -> Refusal | None:
    """Put the values of futures into the parameters, and compute the run's own name; return how the
    run ends if that fails, or if it was asked to stop."""
    try:
        parameters = run.parameters
        if parameters is not None and nested.needs_look(parameters):
            check_drawn(parameters)
            # What was submitted is only read: here every run gets its own. Workers have that.
            own = run.owner is not None and not run.direct
            run.parameters = nested.replace_all(parameters, value_of, fresh=own)
        if run.task.task_run_name is not None and not run.is_named and not run.run_count:
            run.is_named = True  # or never will be
            run.name = computed_name("task_run_name", run.task.task_run_name, run.parameters)
            run.emit(events.rename(run.info.uid, run.no, run.name))
    except Exception as bad:
        return _failed(run, bad)
    return (run.stopped("before it started"), None) if run.cancel_requested else None


def look_up(run: TaskRun) -> Refusal | None:
    """Look for a prepared run's result in the cache; note the key under which it may be kept."""
    try:
        key = _cache_key(run)
    except Exception as bad:
        return _failed(run, bad)
    run.cache_key = key
    if key is None or run.task.refreshes_cache():
        return None
    hit = run.recorder.cached(key, now_us())
    if hit is None:
        return None
    try:
        value = run.recorder.results.read(hit.location)
    except Exception as error:
        # The kept value is gone or unreadable: run the task as if there were no entry.
        line(run, WARNING, f"The cached result cannot be read and is computed again: {error}")
        return None
    record_result(run, value, None, hit.location)
    return Completed(name="Cached", data=value), None


def _cache_key(run: TaskRun) -> str | None:
    key_of = run.task.cache_key_fn
    assert key_of is not None
    with active.special_code(is_async=False):
        key = key_of(context.TaskRunContext(run), run.parameters or {})
    if key is not None and not isinstance(key, str):
        raise TypeError(
            f"The cache_key_fn of task {run.task.name!r} returned {type(key).__name__}; it must "
            "return a str, or None for a result that is not to be cached."
        )
    return key


def _failed(run: TaskRun, error: Exception) -> Refusal:
    return state_of_exception(error, "Task"), report(run, error)


# -- slots ----------------------------------------------------------------------------------------


def take_slots(run: TaskRun) -> Generator[Sleep, Any, Refusal | None]:
    """Wait for a slot of every limited tag of a run.

    Returns:
        ``None`` with the slots; how the run ends, if it was cancelled meanwhile or there will
        never be a slot.

    Raises:
        Exception: the store's, other than that a limit is 0.
    """
    if not slots.is_limited(run):
        return None
    lines, told = slots.lines_of(run.recorder), False
    run.slots = Slots.WAITED_FOR
    try:
        full = lines.ahead_of(run) or slots.acquire(run)
        while full:
            lines.join(run, full)
            if not told:
                told = True
                _say_that_it_waits(run, full)
            yield Sleep(_LOOK if lines.is_first(run) else _SAFETY)
            if run.cancel_requested:
                return run.stopped("while it waited for a slot"), None
            if lines.is_first(run):
                full = slots.acquire(run)
    except slots.NeverFits as never:
        return Crashed(message=str(never)), None
    except slots.Never as never:
        return Cancelled(message=str(never)), None  # else it would wait for ever
    finally:
        lines.leave(run)
    return None


def _say_that_it_waits(run: TaskRun, full: Iterable[str]) -> None:
    what = budgets.said(tuple(full))
    run.enter(AwaitingConcurrencySlot(message=f"Waiting for {what}."))
    line(run, DEBUG, f"Waiting for {what}")
