"""One task run from its first state to its last: attempts, retries, timeout, cache, slots, hooks.

:func:`lifecycle` decides; :mod:`flowdeck.execution` drives it on a thread or on a loop. The same
code runs under every task runner, on workers too.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from flowdeck import context, hooks, inputs
from flowdeck.deadlines import DeadlineExceeded
from flowdeck.definitions import computed_name
from flowdeck.endings import (
    await_retry,
    keep_result,
    record_failure,
    record_result,
    report,
    state_of_value,
)
from flowdeck.logging import DEBUG, ERROR, INFO, WARNING, line
from flowdeck.previews import params_reprs
from flowdeck.states import Cancelled, Completed, Pending, Retrying, State
from flowdeck.steps import (
    Call,
    CallHook,
    Outcome,
    Sleep,
    Step,
)
from flowdeck.transitions import is_cancellation, retry_delay, state_of_exception
from flowdeck.upstreams import value_of
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import StateType
from flowdeck_store.times import at

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.runs import TaskRun

_rng = random.Random()
_quoted = json.encoder.encode_basestring_ascii
#: Seconds between two looks for a free slot of a limited tag.
_SLOT_POLL = 0.2


def lifecycle(run: TaskRun) -> Generator[Step, Any, State[Any]]:
    """Take a task run whose upstreams are final to its last state, which is returned.

    Everything is recorded on the way, the last state included.
    """
    try:
        _prepare(run)
    except Exception as bad:
        report(run, bad)
        return (yield from _conclude(run, state_of_exception(bad, "Task"), bad))
    if run.cancel_requested:
        return (yield from _conclude(run, run.stopped("before it started")))
    key = None
    if run.task.cache_key_fn is not None:
        try:
            key = _cache_key(run, run.task.cache_key_fn)
        except Exception as bad:
            report(run, bad)
            return (yield from _conclude(run, state_of_exception(bad, "Task"), bad))
        cached = _from_cache(run, key)
        if cached is not None:
            return (yield from _conclude(run, cached))
    while True:
        limited = run.tags and run.recorder.has_limits()
        if limited:
            blocked = yield from _take_slots(run)
            if blocked is not None:
                return (yield from _conclude(run, blocked))
        state, error = yield from _attempt(run)
        if limited:
            run.recorder.release_slots(run.info.uid, run.no)
        delay = None
        if state.type is StateType.FAILED and state.name != "NotReady":
            delay = yield from _delay_before_retry(run, state)
        if delay is None:
            return (yield from _conclude(run, state, error, key))
        record_failure(run, state, error)
        await_retry(run, state, delay)
        yield Sleep(delay)
        if run.cancel_requested:
            return (yield from _conclude(run, run.stopped("while it waited to be tried again")))


def _prepare(run: TaskRun) -> None:
    """Put the values of futures in, and compute the run's own name."""
    parameters = run.parameters
    if parameters is not None and inputs.needs_look(parameters):
        run.parameters = {name: inputs.replace(v, value_of) for name, v in parameters.items()}
    if run.task.task_run_name is not None:
        run.name = computed_name("task_run_name", run.task.task_run_name, run.parameters)
        run.emit(events.rename(run.info.uid, run.no, run.name))


def _cache_key(run: TaskRun, key_of: Callable[..., Any]) -> str | None:
    key = key_of(context.TaskRunContext(run), run.parameters or {})
    if key is not None and not isinstance(key, str):
        raise TypeError(
            f"The cache_key_fn of task {run.task.name!r} returned {type(key).__name__}; it must "
            "return a str, or None for a result that is not to be cached."
        )
    return key


def _from_cache(run: TaskRun, key: str | None) -> State[Any] | None:
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
    state = Completed(name="Cached", data=value)
    record_result(run, value, None, hit.location)
    return state


def _take_slots(run: TaskRun) -> Generator[Step, Any, State[Any] | None]:
    """Wait for a slot in every limited tag; return a state only if there will never be one."""
    told = False
    while True:
        try:
            full = run.recorder.acquire_slots(run.tags, run.info.uid, run.no)
        except Exception as error:
            from flowdeck_store.limits import LimitZero

            if not isinstance(error, LimitZero):
                raise
            return Cancelled(message=str(error))  # else it would wait for ever
        if not full:
            return None
        if not told:
            told = True
            names = ", ".join(repr(tag) for tag in full)
            run.enter(Pending(message=f"Waiting for a free slot of tag {names}."))
            line(run, DEBUG, f"Waiting for a concurrency slot of tag {names}")
        yield Sleep(_SLOT_POLL)
        if run.cancel_requested:
            return run.stopped("while it waited for a slot")


def _attempt(run: TaskRun) -> Generator[Step, Any, tuple[State[Any], BaseException | None]]:
    """Call the function once and say how that ended."""
    task = run.task
    run.run_count += 1
    first = run.run_count == 1
    state: State[Any] = State(StateType.RUNNING) if first else Retrying()
    if first:
        run.started_us = state.us
    run.enter(state, _params_json(run) if first else None)
    args, kwargs = task.call_args(run.parameters or {})
    outcome: Outcome = yield Call(task.fn, args, kwargs, task.timeout_seconds)
    error = outcome.error
    if error is None:
        value = outcome.value
        if type(value) in inputs.ATOMIC:
            return State(StateType.COMPLETED, data=value), None
        return (yield from state_of_value(value)), None
    if run.cancel_requested and is_cancellation(error):
        return run.stopped("while it was running"), None
    if isinstance(error, DeadlineExceeded):
        if error.abandoned:
            line(
                run,
                WARNING,
                "The function did not stop when its time was up: it goes on in the background "
                f"in thread {error.thread_name!r}",
            )
        ended = state_of_exception(error, "Task")
        exception: BaseException = ended.data
        return ended, exception.with_traceback(error.interrupted_at)
    report(run, error)
    return state_of_exception(error, "Task"), error


def _params_json(run: TaskRun) -> str | None:
    if not run.parameters:
        return None
    # json.dumps builds an encoder for each call; a dict of texts does not need one.
    pairs = [f"{_quoted(k)}: {_quoted(v)}" for k, v in params_reprs(run.parameters).items()]
    return '{"params": {' + ", ".join(pairs) + "}}"


def _delay_before_retry(run: TaskRun, state: State[Any]) -> Generator[Step, Any, float | None]:
    """Return the seconds to wait before the next attempt, ``None`` to end here."""
    task = run.task
    if run.run_count > task.retries or run.cancel_requested:
        return None
    if task.retry_condition_fn is not None:
        subject = {"task": task, "task_run": run, "state": state}
        outcome: Outcome = yield CallHook(task.retry_condition_fn, subject)
        if outcome.error is not None:
            from flowdeck.failures import capture as capture_failure

            text = capture_failure(outcome.error).text
            line(run, ERROR, f"The retry condition raised, so there is no retry\n{text}")
            return None
        if not outcome.value:
            return None
    return retry_delay(task.retry_delays, run.run_count, task.retry_jitter_factor, _rng)


# -- the end --------------------------------------------------------------------------------------


def _conclude(
    run: TaskRun,
    state: State[Any],
    error: BaseException | None = None,
    cache_key: str | None = None,
) -> Generator[Step, Any, State[Any]]:
    """Record the last state, keep the result, call the hooks."""
    task = run.task
    if state.type is StateType.COMPLETED:
        if state.name != "Cached":
            _keep_result(run, state, cache_key)
    else:
        record_failure(run, state, error)
    run.enter(state)
    called = _hooks_for(run, state)
    if called:
        yield from hooks.call_all(run, called, state, {"task": task, "task_run": run})
    if state.type is StateType.COMPLETED:
        line(run, INFO, f"Finished in state {state}")
    else:
        line(run, ERROR, f"Finished in state {state}")
    return state


def _hooks_for(run: TaskRun, state: State[Any]) -> list[hooks.Hook]:
    if state.type is StateType.COMPLETED:
        return run.task.on_completion if state.name != "Cached" else []
    if state.type is StateType.FAILED:
        return run.task.on_failure
    return []


def _keep_result(run: TaskRun, state: State[Any], cache_key: str | None) -> None:
    """Keep the result where that is wanted, and offer it to later runs under the key."""
    task = run.task
    wanted = task.keeps_result(run.info)
    if cache_key is not None and task.persist_result is not False:
        wanted = True
    in_memory = task.cache_result_in_memory
    if in_memory and not wanted:
        record_result(run, state.data, None, None)
        return
    serializer = task.serializer(run.info)
    mark = None if run.owner is None else run.owner.submissions.marks.get(run.no)
    location = keep_result(run, state, serializer, wanted=wanted, in_memory=in_memory, inputs=mark)
    if location is not None and cache_key is not None:
        us = now_us()
        expires = task.cache_expires_us(us)
        run.emit(events.cache(run.info.uid, run.no, us, cache_key, expires, location))
        state.state_details.cache_key = cache_key
        state.state_details.cache_expiration = at(expires)
