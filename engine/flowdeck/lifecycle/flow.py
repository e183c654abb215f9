"""What happens to a flow run, from its first state to its last.

:func:`lifecycle` decides, as a generator; what takes time are the steps that it yields.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flowdeck.definitions.definition import computed_name
from flowdeck.exceptions import FlowCancelled, TaskCancelled
from flowdeck.inputs.given import check_drawn
from flowdeck.lifecycle import hooks
from flowdeck.lifecycle.endings import await_retry, keep_result, rng, state_of_value
from flowdeck.lifecycle.flow_steps import CallFlow, SleepBetweenAttempts, StartRunner, WaitForTasks
from flowdeck.logging import ERROR, INFO, WARNING, engine_line, line
from flowdeck.metrics.sampler import sampler
from flowdeck.output import forked
from flowdeck.reporting import progress, tqdm_bars
from flowdeck.runs.failures import Failure, record_failure, report, report_crash
from flowdeck.runs.input_digests import mark_for_retry
from flowdeck.runs.task_run import Stop
from flowdeck.runs.views import FlowRunView
from flowdeck.settings import get_settings
from flowdeck.states import Cancelled, Crashed, Failed, Retrying, Running, State
from flowdeck.states.state import was_handed_over
from flowdeck.states.transitions import (
    TimeUp,
    crash_message,
    is_cancellation,
    retry_delay,
    state_of_exception,
    text_of,
    timed_out,
)
from flowdeck.values.statics import is_a
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowdeck.lifecycle.steps import CallResult, Step
    from flowdeck.runs.flow_run import FlowRun


def lifecycle(run: FlowRun) -> Generator[Step, Any, State[Any]]:
    """Take a created flow run to its final state, which is returned."""
    flow = run.flow
    problem = _prepare(run)
    if problem is not None:
        return (yield from _conclude(run, *problem))
    if get_settings().tqdm:
        tqdm_bars.patch()
    yield StartRunner()
    if run.cancel_requested:
        return (yield from _conclude(run, Cancelled(message="Cancelled before it started.")))
    while True:
        first = run.info.run_count == 1
        run.enter(Running() if first else Retrying())
        if first:
            run.info.started_us = run.state.us
            if get_settings().otel:
                from flowdeck.tracing import exporting, propagation

                propagation.begin(run)
                exporting.prepare(run)
            if run.parent is None and get_settings().notify:
                from flowdeck.notifying.runs import begun

                begun(run)
            subject = {"flow": flow, "flow_run": FlowRunView(run)}
            yield from hooks.call_all(run, flow.on_running, run.state, subject)
        args, kwargs = flow.call_args(run.parameters)
        run.start_clock(flow.timeout_seconds)
        result: CallResult = yield CallFlow(args, kwargs)
        state, failure = yield from _state_of_attempt(run, result)
        if run.unsettled:
            yield from _settle(run)
        retry = (
            state.type is StateType.FAILED
            and run.info.run_count <= flow.retries
            and not run.cancel_requested
        )
        if not retry:
            return (yield from _conclude(run, state, failure))
        record_failure(run, state, failure)
        delay = retry_delay(flow.retry_delays, run.info.run_count, flow.retry_jitter_factor, rng)
        await_retry(run, state, delay)
        yield SleepBetweenAttempts(delay)
        if run.cancel_requested:
            return (yield from _conclude(run, Cancelled(message="Cancelled between attempts.")))
        run.next_attempt()


def _prepare(run: FlowRun) -> tuple[State[Any], Failure | None] | None:
    """Validate parameters and compute the run's name; return how the run ends if that fails."""
    flow = run.flow
    try:
        check_drawn(run.parameters)
    except Exception as error:
        return state_of_exception(error, "Flow"), report(run, error)
    if flow.should_validate_parameters:
        try:
            from flowdeck.parameters import validate

            doubts: list[str] = []
            run.parameters = run.info.parameters = validate(flow.fn, run.parameters, doubts)
            for doubt in doubts:
                line(run, WARNING, doubt)
        except Exception as error:  # a validator of the user's may raise anything
            message = (
                "Validation of flow parameters failed with error: "
                f"{type(error).__name__}: {text_of(error)}"
            )
            line(run, ERROR, message)
            engine_line(
                run,
                INFO,
                f"Flow run {run.name!r} received invalid parameters and is marked as failed.",
            )
            with contextlib.suppress(Exception):
                name(run)  # of what was given
            return Failed(message=message, data=error), Failure(error)
    try:
        name(run)
    except Exception as error:
        return state_of_exception(error, "Flow"), report(run, error)
    return None


def name(run: FlowRun) -> None:
    """Give a run the name that ``flow_run_name`` means, unless its launcher named it.

    Raises:
        Exception: what the function or the formatting raises.
    """
    if run.flow.flow_run_name is not None and not run.name_was_requested:
        run.rename(computed_name("flow_run_name", run.flow.flow_run_name, run.parameters))


def _state_of_attempt(
    run: FlowRun, result: CallResult
) -> Generator[Step, Any, tuple[State[Any], Failure | None]]:
    """Wait for the task runs, and decide the state of this attempt."""
    error = result.error
    if run.cancel_requested or isinstance(error, FlowCancelled):
        return (yield from _cancelled(run, error)), None
    if _is_own_limit(run, error):
        return (yield from _out_of_time(run)), None
    late = _limit_of_caller(run, error)
    if late is not None:
        return (yield from _out_of_time_with_caller(run, late)), None
    stopping = _ends_tasks(run, error)
    if stopping:
        run.stop_tasks(Stop.CRASH)
    waited: CallResult = yield WaitForTasks(stopping)
    if _is_own_limit(run, waited.error):  # the function was in time, what it submitted is not
        state = yield from _out_of_time(run)
        if error is None:
            return state, None
    elif (late := _limit_of_caller(run, waited.error)) is not None:
        return (yield from _out_of_time_with_caller(run, late)), None
    elif waited.error is not None:
        error = waited.error
        if _ends_tasks(run, error):
            run.stop_tasks(Stop.CRASH)
        waited = yield WaitForTasks(True)
        if waited.error is not None:  # interrupted again: somebody is in a hurry
            run.give_up_tasks()
    if run.cancel_requested or isinstance(error, FlowCancelled):
        return (yield from _cancelled(run, error)), None
    if error is None or isinstance(error, Exception):
        crash = _crash_of_task(run)
        if crash is not None:
            return Crashed(message=crash_message(crash), data=crash), report(run, crash)
    if error is None:
        return (yield from state_of_value(result.value, run.child_states(), "Flow")), None
    return state_of_exception(error, "Flow"), report(run, error)


def _is_own_limit(run: FlowRun, error: BaseException | None) -> bool:
    return isinstance(error, TimeUp) and error.run is run


def _out_of_time(run: FlowRun) -> Generator[Step, Any, State[Any]]:
    """End what the flow run submitted, as a request to cancel does; return the final state."""
    assert run.flow.timeout_seconds is not None
    if run.submissions.open:
        line(run, INFO, "The time is up: queued tasks are dropped, running ones are asked to stop")
    run.time_up()
    yield from _until_stopped(run)
    return timed_out("Flow", run.flow.timeout_seconds)


def _limit_of_caller(run: FlowRun, error: BaseException | None) -> TimeUp | None:
    """Return what the time limit of a flow run that called this one raised in it, if that is what
    ``error`` is: its loop says only that it was cancelled."""
    if error is None or not is_cancellation(error):
        return None
    late = run.overdue()
    return None if late is None or late is run else TimeUp(late)


def _out_of_time_with_caller(run: FlowRun, late: TimeUp) -> Generator[Step, Any, State[Any]]:
    """End what the flow run submitted, and clean up; return the final state, which goes on to stop
    the caller's function."""
    run.stop_the_rest()
    yield from _until_stopped(run)
    message = f"The time of flow run {late.run.name!r}, which called it, was up."
    return Cancelled(message=message, data=late)


def _until_stopped(run: FlowRun) -> Generator[Step, Any, None]:
    """Wait for task runs that were asked to stop, and for those that clean up, within a bound."""
    if any(task_run.task.always for task_run in list(run.submissions.open)):
        cleaned: CallResult = yield WaitForTasks(True, run.cleanup_seconds)
        if cleaned.error is not None:
            line(
                run, WARNING, "The time for cleaning up is over: those tasks are asked to stop, too"
            )
    run.stop_tasks(Stop.CANCEL, always=True)
    stopped: CallResult = yield WaitForTasks(True)
    if stopped.error is not None:  # interrupted: somebody is in a hurry
        run.give_up_tasks()


def _cancelled(run: FlowRun, error: BaseException | None) -> Generator[Step, Any, State[Any]]:
    """Call the hooks for a request to cancel while the task runs stop; return the final state. What
    struck the task in which the flow was called goes on to end that one."""
    run.request_cancel()
    yield from _tell_of_cancellation(run)
    yield from _until_stopped(run)
    above = error if isinstance(error, TaskCancelled) else None
    return Cancelled(message="Cancelled on request.", data=above)


def _tell_of_cancellation(run: FlowRun) -> Generator[Step, Any, None]:
    """Call the ``on_cancellation`` hooks of a run that is *Cancelling*, once."""
    if run.state.is_cancelling() and not run.told_of_cancellation:
        run.told_of_cancellation = True
        subject = {"flow": run.flow, "flow_run": FlowRunView(run)}
        yield from hooks.call_all(run, run.flow.on_cancellation, run.state, subject)


def _ends_tasks(run: FlowRun, error: BaseException | None) -> bool:
    """Say whether what ended the function also ends its tasks: not an ordinary exception, not its
    own time limit, not a request to cancel."""
    if error is None or isinstance(error, (Exception, FlowCancelled)) or run.cancel_requested:
        return False
    return not _is_own_limit(run, error)


def _crash_of_task(run: FlowRun) -> BaseException | None:
    """Return the interrupt or exit that hit a task: it ends the flow run too, unless it is an exit
    that the flow got and went on from."""
    for task_run in run.submissions.counted:
        data = task_run.state.data
        if not task_run.state.is_crashed():
            continue
        if is_a(data, KeyboardInterrupt) or (is_a(data, SystemExit) and not was_handed_over(data)):
            return data
    return None


_HOOKS: dict[StateType, str] = {
    StateType.COMPLETED: "on_completion",
    StateType.FAILED: "on_failure",
    StateType.CRASHED: "on_crashed",
    StateType.CANCELLED: "on_cancellation",
}


def _conclude(
    run: FlowRun, state: State[Any], failure: Failure | None = None
) -> Generator[Step, Any, State[Any]]:
    """Record the final state, have people notified, and call the hooks for it."""
    if run.unsettled:
        yield from _settle(run)
    run.is_broken = (failure is not None and state.is_crashed()) or is_a(
        state.data, (TimeUp, TaskCancelled)
    )
    forked.ended(run.info.uid, 0)
    progress.ended(run.info.uid, 0)
    sampler.unwatch(run.info.uid, run.recorder.emit)
    for child in run.live_children():
        if child.called_in is not None and child.called_in.is_final:  # its thread was left behind
            child.die(
                "The flow run that called it has ended; its function goes on in the background."
            )
    record_failure(run, state, failure)
    if state.type is StateType.COMPLETED:
        _keep_result(run, state)
    elif failure is None or isinstance(failure.error, Exception):
        from flowdeck.reuse.keep_on_failure import keep_completed

        keep_completed(run)
    if state.is_cancelled():
        yield from _tell_of_cancellation(run)
    run.enter(state)
    if run.parent is None and run.info.trace is not None:
        from flowdeck.tracing import exporting

        exporting.ended(run)
    if run.parent is None and get_settings().notify:
        from flowdeck.notifying.runs import ended

        ended(run)
    called = getattr(run.flow, _HOOKS.get(state.type, ""), None)
    if called and not (state.is_cancelled() and run.told_of_cancellation):
        subject = {"flow": run.flow, "flow_run": FlowRunView(run)}
        yield from hooks.call_all(run, called, state, subject)
    level = INFO if state.type is StateType.COMPLETED else ERROR
    line(run, level, f"Finished in state {state}")
    return state


def _settle(run: FlowRun) -> Generator[Step, Any, None]:
    """Roll back the transactions of a run whose blocks could not do that themselves."""
    from flowdeck.lifecycle.transactions import settle

    while run.unsettled:  # what strikes meanwhile leaves the rest of them
        yield from settle(run.unsettled[0])
        del run.unsettled[0]


def crash(run: FlowRun, error: BaseException) -> Generator[Step, Any, State[Any]]:
    """End a flow run that something outside of its function's call ended, whatever it is."""
    run.stop_tasks(Stop.CRASH)
    run.give_up_tasks()
    failure = Failure(error)
    report_crash(run, failure)
    state: State[Any] = Crashed(message=crash_message(error), data=error)
    return (yield from _conclude(run, state, failure))


def _keep_result(run: FlowRun, state: State[Any]) -> None:
    if run.parent is not None and run.parent.flow.retries:
        run.returned = mark_for_retry(state.data)
    if state.data is None or _is_child_list(state.data):
        return
    flow, info = run.flow, run.info
    wanted = bool(info.persist_result)
    if flow.persist_result is None:
        wanted = wanted or not flow.cache_result_in_memory
    keep_result(
        run, state, info.result_serializer, wanted=wanted, in_memory=flow.cache_result_in_memory
    )


def _is_child_list(value: Any) -> bool:
    """Say whether a result is only the states of task runs, which are recorded themselves."""
    return is_a(value, list) and bool(value) and is_a(value[0], State)
