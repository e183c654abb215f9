"""What happens to a flow run, from its first state to its last.

:func:`lifecycle` decides, as a generator; :mod:`flowdeck.flow_drive` carries out what takes time,
on a thread or on a loop. The user's function runs on the thread (or loop) that called the flow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck import hooks
from flowdeck.definitions import computed_name
from flowdeck.endings import (
    await_retry,
    keep_result,
    record_failure,
    report,
    report_crash,
    state_of_value,
)
from flowdeck.exceptions import FlowCancelled
from flowdeck.logging import ERROR, INFO, engine_line, line
from flowdeck.runs import Stop
from flowdeck.states import Cancelled, Crashed, Failed, Retrying, Running, State
from flowdeck.steps import Call, Outcome, Sleep, Step
from flowdeck.transitions import TimeUp, crash_message, state_of_exception, text_of, timed_out
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Generator

    from flowdeck.flow_run import FlowRun


class StartRunner:
    """Step: start the task runner. What that raises crashes the run."""

    __slots__ = ()


class WaitForTasks:
    """Step: wait until all task runs have ended.

    Attributes:
        stopping: they were asked to stop, so it takes seconds at most, and is not to be cut short.
    """

    __slots__ = ("stopping",)

    def __init__(self, stopping: bool = False) -> None:
        self.stopping = stopping


def lifecycle(run: FlowRun) -> Generator[Step | StartRunner | WaitForTasks, Any, State[Any]]:
    """Take a created flow run to its final state, which is returned."""
    flow = run.flow
    problem = _prepare(run)
    if problem is not None:
        return (yield from _conclude(run, *problem))
    yield StartRunner()
    if run.cancel_requested:
        return (yield from _conclude(run, Cancelled(message="Cancelled before it started.")))
    while True:
        first = run.info.run_count == 1
        run.enter(Running() if first else Retrying())
        if first:
            run.info.started_us = run.state.us
            subject = {"flow": flow, "flow_run": run.info}
            yield from hooks.call_all(run, flow.on_running, run.state, subject)
        args, kwargs = flow.call_args(run.parameters)
        outcome: Outcome = yield Call(flow.fn, args, kwargs, flow.timeout_seconds)
        state, error = yield from _settle(run, outcome)
        retry = (
            state.type is StateType.FAILED
            and run.info.run_count <= flow.retries
            and not run.cancel_requested
        )
        if not retry:
            return (yield from _conclude(run, state, error))
        record_failure(run, state, error)
        await_retry(run, state, flow.retry_delay_seconds)
        yield Sleep(flow.retry_delay_seconds)
        if run.cancel_requested:
            return (yield from _conclude(run, Cancelled(message="Cancelled between attempts.")))
        run.next_attempt()


def _prepare(run: FlowRun) -> tuple[State[Any], BaseException | None] | None:
    """Validate parameters and compute the run's name; return how the run ends if that fails."""
    flow = run.flow
    if flow.should_validate_parameters:
        try:
            from flowdeck.parameters import validate

            run.parameters = run.info.parameters = validate(flow.fn, run.parameters)
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
            return Failed(message=message, data=error), error
    if flow.flow_run_name is not None and not run.name_was_requested:
        try:
            run.rename(computed_name("flow_run_name", flow.flow_run_name, run.parameters))
        except Exception as error:
            report(run, error)
            return state_of_exception(error, "Flow"), error
    return None


def _settle(
    run: FlowRun, outcome: Outcome
) -> Generator[Step | WaitForTasks, Any, tuple[State[Any], BaseException | None]]:
    """Wait for the task runs, and decide the state of this attempt."""
    error = outcome.error
    if run.cancel_requested or isinstance(error, FlowCancelled):
        return (yield from _cancelled(run)), None
    stopping = _ends_tasks(run, error)
    if stopping:
        run.stop_tasks(Stop.CRASH)
    waited: Outcome = yield WaitForTasks(stopping)
    if waited.error is not None:
        error = waited.error
        if _ends_tasks(run, error):
            run.stop_tasks(Stop.CRASH)
        waited = yield WaitForTasks(True)
        if waited.error is not None:  # interrupted again: somebody is in a hurry
            run.give_up_tasks()
    if run.cancel_requested or isinstance(error, FlowCancelled):
        return (yield from _cancelled(run)), None
    if error is None or isinstance(error, Exception):
        crash = _crash_of_task(run)
        if crash is not None:
            report(run, crash)
            return Crashed(message=crash_message(crash), data=crash), crash
    if error is None:
        return (yield from state_of_value(outcome.value, run.child_states())), None
    if isinstance(error, TimeUp) and error.run is run:
        assert run.flow.timeout_seconds is not None
        return timed_out("Flow", run.flow.timeout_seconds), None
    report(run, error)
    return state_of_exception(error, "Flow"), error


def _cancelled(run: FlowRun) -> Generator[Step | WaitForTasks, Any, State[Any]]:
    """Call the hooks for a request to cancel while the task runs stop; return the final state."""
    run.request_cancel()
    yield from _tell_of_cancellation(run)
    stopped: Outcome = yield WaitForTasks(True)
    if stopped.error is not None:  # interrupted: somebody is in a hurry
        run.give_up_tasks()
    return Cancelled(message="Cancelled on request.")


def _tell_of_cancellation(run: FlowRun) -> Generator[Step, Any, None]:
    """Call the ``on_cancellation`` hooks of a run that is *Cancelling*, once."""
    if run.state.is_cancelling() and not run.told_of_cancellation:
        run.told_of_cancellation = True
        subject = {"flow": run.flow, "flow_run": run.info}
        yield from hooks.call_all(run, run.flow.on_cancellation, run.state, subject)


def _ends_tasks(run: FlowRun, error: BaseException | None) -> bool:
    """Say whether what ended the function also ends its tasks: not an ordinary exception, not its
    own time limit, not a request to cancel."""
    if error is None or isinstance(error, (Exception, FlowCancelled)) or run.cancel_requested:
        return False
    return not (isinstance(error, TimeUp) and error.run is run)


def _crash_of_task(run: FlowRun) -> BaseException | None:
    """Return the interrupt or exit that hit a task: it ends the flow run too."""
    for task_run in run.submissions.counted:
        data = task_run.state.data
        if task_run.state.is_crashed() and isinstance(data, (KeyboardInterrupt, SystemExit)):
            return data
    return None


_HOOKS: dict[StateType, str] = {
    StateType.COMPLETED: "on_completion",
    StateType.FAILED: "on_failure",
    StateType.CRASHED: "on_crashed",
    StateType.CANCELLED: "on_cancellation",
}


def _conclude(
    run: FlowRun, state: State[Any], error: BaseException | None = None
) -> Generator[Step, Any, State[Any]]:
    """Record the final state and call the hooks for it."""
    record_failure(run, state, error)
    if state.type is StateType.COMPLETED:
        _keep_result(run, state)
    elif error is None or isinstance(error, Exception):
        from flowdeck.keeping import keep_completed

        keep_completed(run)
    if state.is_cancelled():
        yield from _tell_of_cancellation(run)
    run.enter(state)
    called = getattr(run.flow, _HOOKS.get(state.type, ""), None)
    if called and not (state.is_cancelled() and run.told_of_cancellation):
        subject = {"flow": run.flow, "flow_run": run.info}
        yield from hooks.call_all(run, called, state, subject)
    level = INFO if state.type is StateType.COMPLETED else ERROR
    line(run, level, f"Finished in state {state}")
    return state


def crash(run: FlowRun, error: BaseException) -> Generator[Step, Any, State[Any]]:
    """End a flow run that something outside of its function's call ended, whatever it is."""
    run.stop_tasks(Stop.CRASH)
    run.give_up_tasks()
    report_crash(run, error)
    state: State[Any] = Crashed(message=crash_message(error), data=error)
    return (yield from _conclude(run, state, error))


def _keep_result(run: FlowRun, state: State[Any]) -> None:
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
    return isinstance(value, list) and bool(value) and isinstance(value[0], State)
