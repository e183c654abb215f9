"""One task run from its first state to its last: attempts, retries, timeout, results, hooks.

:func:`lifecycle` decides, with :mod:`flowdeck.lifecycle.admission` for what only the flow's process knows;
where tasks execute on workers, those drive the second half, :func:`execution`.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from flowdeck.inputs import nested
from flowdeck.lifecycle import admission, hooks, transaction_parts
from flowdeck.lifecycle.endings import (
    await_retry,
    keep_result,
    record_result,
    rng,
    seconds_until_retry,
    state_of_value,
)
from flowdeck.lifecycle.steps import CallHook, CallResult, Sleep, Step
from flowdeck.lifecycle.task_steps import Call
from flowdeck.logging import ERROR, INFO, WARNING, line
from flowdeck.output import forked
from flowdeck.reporting import progress
from flowdeck.runs import slots
from flowdeck.runs.failures import Failure, record_failure, report
from flowdeck.runs.task_run import Slots
from flowdeck.settings import get_settings
from flowdeck.states import Retrying, State
from flowdeck.states.transitions import is_cancellation, retry_delay, state_of_exception
from flowdeck.threads.deadlines import DeadlineExceeded
from flowdeck.values.previews import params_reprs
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import StateType
from flowdeck_store.times import at
from flowdeck_store.usage import usage_event

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowdeck.definitions.hooks import Hook
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.threads.deadlines import LeftBehind

#: Seconds between two looks whether a function that was left behind is over.
_FIRST_LOOK, _LAST_LOOK = 0.01, 0.2
_quoted = json.encoder.encode_basestring_ascii


def lifecycle(run: TaskRun) -> Generator[Step, Any, State[Any]]:
    """Return the steps that take a task run whose upstreams are final to its last state.

    Both halves, for runners whose tasks execute in the flow's process. Everything is recorded on
    the way, the last state included. Not a generator itself: each one between a step and its
    driver costs, and this begins where and when the first step would be asked for.
    """
    refused = admission.prepare(run)
    if refused is None and run.task.cache_key_fn is not None:
        refused = admission.look_up(run)
    if refused is not None:
        return conclude(run, *refused)
    return _with_slots(run) if run.tags or run.task.resources else attempts(run)


def execution(
    run: TaskRun, *, hands_back: bool, waits_for_function: bool = True
) -> Generator[Step, Any, State[Any]]:
    """Return the steps that execute a task run that was admitted elsewhere.

    Args:
        run: the task run.
        hands_back: an attempt that is to be tried again ends with *AwaitingRetry*: whoever admitted
            the run waits, and has it executed again.
        waits_for_function: a function that goes on in the background is waited for before the next
            attempt; ``False`` where its process is ended.
    """
    refused = admission.prepare(run)
    if refused is not None:
        return conclude(run, *refused)
    return attempts(run, hands_back=hands_back, waits_for_function=waits_for_function)


def _with_slots(run: TaskRun) -> Generator[Step, Any, State[Any]]:
    refused = yield from admission.take_slots(run)
    return (yield from attempts(run) if refused is None else conclude(run, *refused))


def attempts(
    run: TaskRun, *, hands_back: bool = False, waits_for_function: bool = True
) -> Generator[Step, Any, State[Any]]:
    """Call the function until it completes or is not to be tried again.

    What happens to every run stands in this one generator: each step would go through any between
    it and the driver, which costs as much as the step.
    """
    while True:
        try:
            call = _begin_attempt(run)
            if run.run_count == 1 and run.task.on_running:
                yield from _call_hooks(run, run.task.on_running, run.state)
            result: CallResult = yield call
            forked.ended(run.info.uid, run.no)
            progress.ended(run.info.uid, run.no)
            if result.usage is not None and run.info.metrics is not None:
                run.emit(usage_event(run.info.uid, run.no, *result.usage))
            failure: Failure | None = None
            if result.error is not None:
                state, failure = _state_of_error(run, result.error)
            elif nested.is_plain(result.value):
                state = State(StateType.COMPLETED, data=result.value)
            else:
                state = yield from state_of_value(result.value)
        finally:
            if run.slots and run.left_behind is None:
                slots.vacate(run)
        delay = None
        if state.type is StateType.FAILED and state.name != "NotReady":
            delay = yield from _delay_before_retry(run, state)
        if delay is None:
            _let_it_keep_its_slots(run)
            called = _enter_last_state(run, state, failure)
            if called:
                yield from _call_hooks(run, called, state)
            _say_how_it_ended(run, state)
            return state
        record_failure(run, state, failure)
        await_retry(run, state, delay)
        del failure, result  # the frames of the attempt, and what they hold
        if run.left_behind is not None and waits_for_function:
            yield from _until_it_left(run, run.left_behind)
            delay = seconds_until_retry(run.state)
        if hands_back:
            return run.state
        refused = yield from admitted_again(run, delay)
        if refused is not None:
            return (yield from conclude(run, *refused))


def _until_it_left(run: TaskRun, function: LeftBehind) -> Generator[Sleep, Any, None]:
    """Wait for a function that goes on in the background, so that no two tries overlap, but not for
    ever: it may hang for good."""
    limit = get_settings().left_behind_seconds
    waited, pause = 0.0, _FIRST_LOOK
    while not function.has_left():
        if run.cancel_requested:
            _let_it_keep_its_slots(run)
            return
        if waited >= limit:
            line(
                run,
                WARNING,
                f"The function of try {run.run_count} still goes on in the background after "
                f"{limit:g} seconds (setting left_behind_seconds): the next try starts beside it.",
            )
            break
        yield Sleep(pause)
        waited, pause = waited + pause, min(2 * pause, _LAST_LOOK)
    run.left_behind = None
    if run.slots:
        slots.vacate(run)


def _let_it_keep_its_slots(run: TaskRun) -> None:
    """End with a run what is left of it, but for the slots of a function that goes on."""
    if run.slots and run.left_behind is not None:
        slots.linger(run)
        run.left_behind.when_left(functools.partial(slots.vacate, run))


def admitted_again(run: TaskRun, delay: float) -> Generator[Step, Any, admission.Refusal | None]:
    """Wait ``delay`` seconds before the next attempt, and for slots; return how the run ends, if it
    ends meanwhile."""
    if delay > 0:
        yield Sleep(delay)
    if run.cancel_requested:
        return run.stopped("while it waited to be tried again"), None
    if run.tags or run.task.resources:
        return (yield from admission.take_slots(run))
    return None


def _begin_attempt(run: TaskRun) -> Call:
    """Enter that the run executes; return the step that calls its function."""
    task = run.task
    run.run_count += 1
    if run.slots:
        run.slots = Slots.IN_USE
    if run.run_count == 1:
        state: State[Any] = State(StateType.RUNNING)
        run.started_us = state.us
        run.enter(state, _params_json(run))
    else:
        run.enter(Retrying())
    args, kwargs = task.call_args(run.parameters or {})
    return Call(task.fn, args, kwargs, task.timeout_seconds)


def _state_of_error(run: TaskRun, error: BaseException) -> tuple[State[Any], Failure | None]:
    """Say what it means that the call ended with an exception."""
    if run.cancel_requested and is_cancellation(error):
        return run.stopped("while it was running"), None
    if isinstance(error, DeadlineExceeded):
        run.left_behind = error.left_behind
        if error.left_behind is not None:
            line(
                run,
                WARNING,
                "The function did not stop when its time was up: it goes on in the background "
                f"in thread {error.thread_name!r}",
            )
        ended = state_of_exception(error, "Task")
        exception: BaseException = ended.data
        return ended, Failure(exception.with_traceback(error.interrupted_at))
    return state_of_exception(error, "Task"), report(run, error)


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
        outcome: CallResult = yield CallHook(task.retry_condition_fn, subject)
        if outcome.error is not None:
            from flowdeck.failures.capture import capture

            text = capture(outcome.error).text
            why = f"The retry condition raised, so there is no retry\n{text}"
            line(run, ERROR, why, clean=True)
            return None
        if not outcome.value:
            return None
    return retry_delay(task.retry_delays, run.run_count, task.retry_jitter_factor, rng)


# -- the end --------------------------------------------------------------------------------------


def conclude(
    run: TaskRun, state: State[Any], failure: Failure | None = None
) -> Generator[Step, Any, State[Any]]:
    """Record the last state, keep the result, call the hooks."""
    called = _enter_last_state(run, state, failure)
    if called:
        yield from _call_hooks(run, called, state)
    _say_how_it_ended(run, state)
    return state


def _enter_last_state(run: TaskRun, state: State[Any], failure: Failure | None) -> list[Hook]:
    """Record the last state and keep the result; return the hooks to be called."""
    if state.type is StateType.COMPLETED:
        if state.name != "Cached":
            keep_result_of(run, state)
    else:
        record_failure(run, state, failure)
    run.enter(state)
    return _hooks_for(run, state)


def _call_hooks(run: TaskRun, called: list[Hook], state: State[Any]) -> Generator[Step, Any, None]:
    return hooks.call_all(run, called, state, {"task": run.task, "task_run": run})


def _say_how_it_ended(run: TaskRun, state: State[Any]) -> None:
    if state.type is StateType.COMPLETED:
        line(run, INFO, f"Finished in state {state}", clean=state.message is None)
    else:
        line(run, ERROR, f"Finished in state {state}")


def _hooks_for(run: TaskRun, state: State[Any]) -> list[Hook]:
    if state.type is StateType.COMPLETED:
        return run.task.on_completion if state.name != "Cached" else []
    if state.type is StateType.FAILED:
        return run.task.on_failure
    return []


def is_result_written(run: TaskRun) -> bool:
    """Say whether a completed run's result goes to disk: because its task, its flow or the settings
    want that, or because it can be offered to later runs."""
    task = run.task
    offered = run.cache_key is not None and task.persist_result is not False
    return offered or task.keeps_result(run.info)


def keep_result_of(run: TaskRun, state: State[Any]) -> None:
    """Keep the result where that is wanted, and offer it to later runs under the cache key."""
    task, cache_key = run.task, run.cache_key
    wanted, in_memory = is_result_written(run), task.cache_result_in_memory
    if in_memory and not wanted:
        record_result(run, state.data, None, None)
        return
    serializer = task.serializer(run.info)
    mark = None if run.owner is None else run.owner.submissions.input_digests.get(run.no)
    location = keep_result(run, state, serializer, wanted=wanted, in_memory=in_memory, inputs=mark)
    if location is None:
        return
    part = transaction_parts.part_of(run)
    if part is not None:
        part.location = location
    if cache_key is not None:
        offer = functools.partial(_offer, run, state, cache_key, location)
        if part is None:
            offer()
        else:
            part.offer = offer


def _offer(run: TaskRun, state: State[Any], cache_key: str, location: str) -> None:
    us = now_us()
    expires = run.task.cache_expires_us(us)
    run.emit(events.cache(run.info.uid, run.no, us, cache_key, expires, location))
    state.state_details.cache_key = cache_key
    state.state_details.cache_expiration = at(expires)
