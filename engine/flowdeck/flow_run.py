"""One flow run from the call to its final state.

:func:`lifecycle` decides, as a generator; :mod:`flowdeck.flow_drive` carries out what takes time,
on a thread or on a loop. The user's function runs on the thread (or loop) that called the flow.
"""

from __future__ import annotations

import inspect
import json
import threading
from typing import TYPE_CHECKING, Any

from flowdeck import cancellation, hooks
from flowdeck.exceptions import FlowCancelled, ParameterTypeError, UnserialisableResult
from flowdeck.final_state import from_return_value
from flowdeck.logging import ERROR, INFO, WARNING, engine_line, exception_text, line
from flowdeck.reuse import Memory
from flowdeck.runs import FlowRunInfo, Stop, TaskRun
from flowdeck.states import (
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Crashed,
    Failed,
    Pending,
    Retrying,
    Running,
    State,
)
from flowdeck.steps import Call, Outcome, Sleep, Step
from flowdeck.stopping import end_stopped, give_up, stop_runs
from flowdeck.submission import Submissions
from flowdeck.transitions import TimeUp, crash_message, state_of_exception, timed_out
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from flowdeck.flows import Flow
    from flowdeck.recording import Recorder
    from flowdeck.task_runners.base import BaseTaskRunner


class WaitForTasks:
    """Step: wait until all task runs have ended."""


class Stand:
    """The task run in the parent that stands for a subflow run."""

    __slots__ = ("name", "no", "parent")

    def __init__(self, parent: FlowRun, no: int, name: str) -> None:
        self.parent = parent
        self.no = no
        self.name = name

    def mirror(self, before: State[Any], state: State[Any], child_uid: str) -> None:
        """Record that the stand-in enters the child's state."""
        data = json.dumps({"child": child_uid})
        self.parent.recorder.emit(
            events.state(
                self.parent.info.uid, self.no, before.bucket, state.code, state.us,
                state.stored_name, state.message, 1, None, data,
            )
        )  # fmt: skip


class FlowRun:
    """One run of a flow. ``no`` is 0: in the record it is task number 0 of itself."""

    no = 0
    logger_name = "flowdeck.flow_runs"

    def __init__(
        self,
        flow: Flow[Any, Any],
        info: FlowRunInfo,
        recorder: Recorder,
        runner: BaseTaskRunner,
        parameters: dict[str, Any],
        parent: FlowRun | None = None,
        stand: Stand | None = None,
    ) -> None:
        self.flow = flow
        self.info = info
        self.recorder = recorder
        self.runner = runner
        self.parameters = parameters
        self.parent = parent
        self.stand = stand
        self.state: State[Any] = Pending()
        #: A launcher gave the run its name, which then wins over the flow's template.
        self.name_was_requested = False
        self.submissions = Submissions(self)
        self.children: list[FlowRun] = []
        self.cancel_requested = False
        self.timed_out = False
        self.terminated_by: int | None = None
        self._cancel_lock = threading.Lock()
        self._stopping = False
        self._memory = Memory() if flow.retries else None
        #: How to stop the body while it executes on a loop; called from any thread.
        self.stop_body: Callable[[], None] | None = None
        self.body_thread: int | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def title(self) -> str:
        """What the console calls it."""
        return f"Flow run {self.info.name!r}"

    @property
    def log_prints(self) -> bool:
        return self.info.log_prints

    # -- states -----------------------------------------------------------------------------------

    def enter(self, state: State[Any]) -> None:
        """Make ``state`` the run's state and record it, here and on the stand-in."""
        before, self.state = self.state, state
        self.recorder.emit(
            events.state(
                self.info.uid, 0, 0, state.code, state.us, state.stored_name, state.message,
                self.info.run_count, None, None,
            )
        )  # fmt: skip
        if self.stand is not None:
            self.stand.mirror(before, state, self.info.uid)

    def rename(self, name: str) -> None:
        """Take the name that was computed when the run started."""
        self.info.name = name
        self.recorder.emit(events.rename(self.info.uid, 0, name))

    # -- task runs --------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Refuse new runs when this one is to end.

        Raises:
            TimeoutError: its time was up.
            FlowCancelled: it was cancelled.
        """
        if self.timed_out:
            raise TimeoutError("Flow run timed out")
        if self.cancel_requested:
            raise FlowCancelled

    def ended(self, run: TaskRun) -> None:
        """A task run of this flow run has ended (called by runners, from any thread)."""
        self.submissions.ended(run)

    def remembered(self, key: str, index: int, parameters: dict[str, Any]) -> Any:
        """Return the completed run of the same call in an earlier attempt."""
        return None if self._memory is None else self._memory.find(key, index, parameters)

    def remember(self, key: str, index: int, parameters: dict[str, Any], run: Any) -> None:
        """Keep a run for later attempts, if there may be any."""
        if self._memory is not None:
            self._memory.note(key, index, parameters, run)

    def child_states(self) -> list[State[Any]]:
        """Return the states that decide when the function returns ``None``."""
        tasks = [run.state for run in self.submissions.counted]
        return tasks + [child.state for child in self.children]

    def next_attempt(self) -> None:
        """Get ready to call the function again."""
        if self._memory is not None:
            self._memory.next_attempt()
        self.submissions.next_attempt()
        self.children = []
        self.timed_out = False
        self.info.run_count += 1

    # -- stopping -----------------------------------------------------------------------------------

    def request_cancel(self) -> None:
        """Begin to cancel, from any thread; later calls do nothing."""
        with self._cancel_lock:
            if self._stopping or self.state.is_final():
                return
            self._stopping = True
        self.cancel_requested = True
        self.enter(Cancelling())
        line(self, INFO, "Cancelling: queued tasks are dropped, running ones are asked to stop")
        for child in self.children:
            child.request_cancel()
        self.stop_tasks(Stop.CANCEL)

    def stop_tasks(self, why: Stop) -> None:
        """Drop what is queued, ask what executes to stop."""
        stop_runs(list(self.submissions.open), why)
        for run in self.runner.drop_queued():
            run.cancel_requested = why
            end_stopped(run, "before it started")

    def interrupt_body(self) -> None:
        """Stop the flow's function (or the wait it is in), from any thread."""
        innermost = self
        while innermost.children and not innermost.children[-1].state.is_final():
            innermost = innermost.children[-1]
        if innermost.stop_body is not None:
            innermost.stop_body()
        elif innermost.body_thread == threading.main_thread().ident:
            cancellation.wake_main_thread()
        elif innermost.body_thread is not None:
            from flowdeck.deadlines import interrupt_thread

            interrupt_thread(innermost.body_thread, FlowCancelled)

    def stop_on_loop(self) -> bool:
        """For a signal handler: stop an async body; ``False`` if the body is not on a loop."""
        if not self.flow.isasync:
            return False
        if self.stop_body is not None:
            self.stop_body()
        return True

    def cancel_task(self, no: int) -> None:
        """Cancel one task run of this flow run."""
        for run in list(self.submissions.open):
            if run.no == no:
                stop_runs([run], Stop.CANCEL)
                return

    def give_up_tasks(self) -> None:
        """End, from outside, task runs that did not stop in time."""
        give_up(list(self.submissions.open))

    def die(self, message: str) -> None:
        """Record that the process is about to end."""
        for run in list(self.submissions.open):
            run.enter(Crashed(message=message))
        self.enter(Crashed(message=message))
        self.recorder.flush(2.0)


# -- the life of a flow run ---------------------------------------------------------------------------


def lifecycle(run: FlowRun) -> Generator[Step | WaitForTasks, Any, State[Any]]:
    """Take a created flow run to its final state, which is returned."""
    flow = run.flow
    problem = _prepare(run)
    if problem is not None:
        return (yield from _conclude(run, *problem))
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
        _record_failure(run, state, error)
        run.enter(AwaitingRetry(message=state.message))
        line(
            run,
            INFO,
            "Received non-final state 'AwaitingRetry' when proposing final state "
            f"{state.name!r} and will attempt to run again...",
        )
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
        except ParameterTypeError as error:
            message = (
                f"Validation of flow parameters failed with error: ParameterTypeError: {error}"
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
            run.rename(_computed_name(flow.flow_run_name, run.parameters))
        except Exception as error:
            return state_of_exception(error, "Flow"), error
    return None


def _computed_name(template: str | Callable[[], str], parameters: dict[str, Any]) -> str:
    if isinstance(template, str):
        return template.format(**parameters)
    name = template()
    if not isinstance(name, str):
        raise TypeError(
            f"Callable {template!r} for 'flow_run_name' returned type {type(name).__name__} but a "
            "string is required."
        )
    return name


def _settle(
    run: FlowRun, outcome: Outcome
) -> Generator[Step | WaitForTasks, Any, tuple[State[Any], BaseException | None]]:
    """Wait for the task runs, and decide the state of this attempt."""
    from flowdeck.futures import resolve_futures_to_states

    error = outcome.error
    if _is_crash(run, error):
        run.stop_tasks(Stop.CRASH)
    waited: Outcome = yield WaitForTasks()
    if waited.error is not None:
        error = waited.error
        if _is_crash(run, error):
            run.stop_tasks(Stop.CRASH)
        waited = yield WaitForTasks()
        if waited.error is not None:  # interrupted again: somebody is in a hurry
            run.give_up_tasks()
    if run.cancel_requested or isinstance(error, FlowCancelled):
        run.request_cancel()
        yield WaitForTasks()
        return Cancelled(message="Cancelled on request."), None
    if error is None:
        try:
            value = outcome.value
            if inspect.isgenerator(value):
                value = list(value)
            state = from_return_value(resolve_futures_to_states(value), run.child_states())
        except Exception as problem:  # a generator of the user's that raises
            error = problem
        else:
            return _with_task_crash(run, state)
    if isinstance(error, TimeUp) and error.run is run:
        assert run.flow.timeout_seconds is not None
        return timed_out("Flow", run.flow.timeout_seconds), None
    if isinstance(error, Exception):
        from flowdeck.failures import capture

        exception_text(run, capture(error).text)
    else:
        line(run, ERROR, f"Crash detected! {crash_message(error)}")
    return state_of_exception(error, "Flow"), error


def _is_crash(run: FlowRun, error: BaseException | None) -> bool:
    """Say whether what ended the function also ends its tasks: not an ordinary exception, not its
    own time limit, not a request to cancel."""
    if error is None or isinstance(error, (Exception, FlowCancelled)) or run.cancel_requested:
        return False
    return not (isinstance(error, TimeUp) and error.run is run)


def _with_task_crash(run: FlowRun, state: State[Any]) -> tuple[State[Any], BaseException | None]:
    """An interrupt or exit that hit a task ends the flow run too."""
    for task_run in run.submissions.counted:
        data = task_run.state.data
        if task_run.state.is_crashed() and isinstance(data, (KeyboardInterrupt, SystemExit)):
            return Crashed(message=crash_message(data), data=data), data
    return state, None


_HOOKS: dict[StateType, str] = {
    StateType.COMPLETED: "on_completion",
    StateType.FAILED: "on_failure",
    StateType.CRASHED: "on_crashed",
    StateType.CANCELLED: "on_cancellation",
}


def _conclude(
    run: FlowRun, state: State[Any], error: BaseException | None = None
) -> Generator[Step | WaitForTasks, Any, State[Any]]:
    """Record the final state and call the hooks for it."""
    _record_failure(run, state, error)
    if state.type is StateType.COMPLETED:
        _record_result(run, state)
    # A new object: a state that the function returned belongs to whoever made it.
    final: State[Any] = State(state.type, state.name, state.message, state.data, state._details)
    final.belong(run.info, 0)
    run.enter(final)
    called = getattr(run.flow, _HOOKS.get(final.type, ""), None)
    if called:
        subject = {"flow": run.flow, "flow_run": run.info}
        yield from hooks.call_all(run, called, final, subject)
    level = INFO if final.type is StateType.COMPLETED else ERROR
    line(run, level, f"Finished in state {final}")
    return final


def _record_failure(run: FlowRun, state: State[Any], error: BaseException | None) -> None:
    if error is None and isinstance(state.data, TimeoutError):
        error = state.data
    if error is None:
        return
    from flowdeck.failures import capture

    found = capture(error)
    run.recorder.emit(
        events.failure(
            run.info.uid, 0, now_us(), run.info.run_count, found.exc_type, found.exc_msg,
            found.structure, found.variables,
        )
    )  # fmt: skip


def _record_result(run: FlowRun, state: State[Any]) -> None:
    value = state.data
    if value is None or _is_child_list(value):
        return
    from flowdeck.previews import preview, type_name

    location, size = None, None
    if run.info.persist_result:
        try:
            location, size = run.recorder.results.write(value, run.info.result_serializer)
        except (UnserialisableResult, OSError) as error:
            line(run, WARNING, f"The result is kept in memory only: {error}")
    run.recorder.emit(
        events.result(run.info.uid, 0, now_us(), type_name(value), size, preview(value), location)
    )


def _is_child_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], State)
