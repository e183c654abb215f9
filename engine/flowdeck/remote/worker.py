"""Executes one task run in a process that may share nothing with the flow's: no module, no disk, no
settings. What happens goes out through a :class:`~flowdeck.remote.events.Port`."""

from __future__ import annotations

import contextvars
import pickle
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck import settings
from flowdeck.lifecycle.endings import seconds_until_retry
from flowdeck.lifecycle.execution import Execution
from flowdeck.lifecycle.steps import CallResult
from flowdeck.lifecycle.task import execution
from flowdeck.lifecycle.task_steps import Call
from flowdeck.metrics.sampler import sampler
from flowdeck.metrics.task_usage import process_meter
from flowdeck.remote import errors
from flowdeck.remote.events import (
    AGAIN,
    ATOM,
    BLOCKED,
    CARRIED,
    END,
    ERROR,
    REMOTE,
    End,
    ExecutionRecorder,
)
from flowdeck.remote.sizes import carried
from flowdeck.remote.values import Reply, is_atom, pickling_of, unpickle_parameters
from flowdeck.remote.worker_process import KnownFlowRun, this_process
from flowdeck.reporting import tqdm_bars
from flowdeck.runs.failures import record_failure
from flowdeck.runs.recorder import record_here
from flowdeck.runs.task_run import Stop, TaskRun
from flowdeck.states import Crashed, State
from flowdeck.stopping import cancellation
from flowdeck.threads import active
from flowdeck.values.redaction import recorded_message
from flowdeck.values.statics import is_a
from flowdeck_store import events
from flowdeck_store.events import now_us
from flowdeck_store.states import CRASHED, PENDING, StateType

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from flowdeck.remote.events import Port
    from flowdeck.remote.pickling import Pickling

#: Bytes of an exception up to which it rides along.
_SMALL_ERROR: Final = 256 * 1024


class UnsendableResult(BaseException):
    """A task returned something that cannot leave its worker. Not to be caught by user code."""


class Facts(NamedTuple):
    """What an execution must know even if nothing of the user's can be unpickled."""

    uid: str
    no: int
    call: int  # how many of this task came before, in the flow run
    name: str
    tags: tuple[str, ...]
    #: Of each input: whether its failure is allowed, and the uid of its run.
    allowed: tuple[bool, ...]
    upstreams: tuple[str, ...]
    #: Whether the flow's process keeps the result, and so records it.
    keeps: bool
    #: Whether an attempt that is to be tried again goes home, because it holds slots.
    hands_back: bool
    #: Attempts that were made before, elsewhere, and when the first one started (µs).
    run_count: int
    started_us: int


def execute(code: bytes, head: bytes, replies: Sequence[Reply], port: Port) -> tuple[Reply, bytes]:
    """Execute a task run to its end.

    Args:
        code: the task and its flow run, see :class:`flowdeck.remote.payload.Payload`.
        head: this task run.
        replies: of the upstreams, in the order of the payload's inputs.
        port: the way home.

    Returns:
        The reply, to be kept as the engine's value, and the tail: the last events, which must reach
        the flow's process too. Never raises.
    """
    facts_of, body = pickle.loads(head)
    facts = Facts(*facts_of)
    sender = this_process.sender(facts.uid, port)
    recorder = sender.open(facts.uid, facts.no)
    recorder.leaves_results_out = facts.keeps
    try:
        blocker = _blocker(facts, replies)
        if blocker is not None:
            reply = Reply(PENDING, None, port.pickling, blocker)
            end = End(END, PENDING, None, None, now_us(), BLOCKED, blocker, None)
        else:
            reply, end = _execute(code, body, facts, replies, port, recorder)
    except BaseException as error:
        reply, end = _crashed(facts, error, port, recorder)
    return reply, sender.close(recorder, end)


def stop_here(uid: str, numbers: Sequence[int], why: int) -> list[int]:
    """Ask task runs to stop; those that have not come yet are refused when they do.

    Args:
        uid: of the flow run.
        numbers: of the task runs.
        why: a :class:`flowdeck.runs.task_run.Stop`.

    Returns:
        The numbers of those that execute in this process.
    """
    return this_process.stop(uid, numbers, Stop(why))


def _blocker(facts: Facts, replies: Sequence[Reply]) -> str | None:
    for reply, allowed, uid in zip(replies, facts.allowed, facts.upstreams, strict=True):
        if not reply.passes(allowed):
            return uid
    return None


# -- executing -----------------------------------------------------------------------------------------


def _execute(
    code: bytes,
    body: bytes | dict[str, Any],
    facts: Facts,
    replies: Sequence[Reply],
    port: Port,
    recorder: ExecutionRecorder,
) -> tuple[Reply, End]:
    pickling = pickling_of(port.pickling)
    flow_run, task = this_process.read(code, pickling)
    parameters = unpickle_parameters(body, replies)
    run = TaskRun(
        task,
        flow_run.info,
        recorder,
        facts.no,
        facts.call,
        facts.name,
        parameters,
        frozenset(facts.tags),
    )
    run.worker = port.worker
    run.run_count, run.started_us = facts.run_count, facts.started_us
    this_process.begin(run)
    try:
        # In the flow's own process nothing is alone.
        seconds, is_apart = flow_run.info.metrics, not cancellation.live
        checked = _Checked(pickling, seconds is not None and is_apart)
        if seconds is not None and is_apart:
            sampler.watch(
                facts.uid, recorder.emit, worker=port.worker or "", seconds=seconds,
                stored=port.stored,
            )  # fmt: skip
        # A copy of the engine's context, not an empty one: its own functions must work in tasks.
        steps = partial(
            checked.execution,
            hands_back=facts.hands_back or port.is_for_one,
            waits_for_function=not port.is_for_one,
        )
        contextvars.copy_context().run(_drive, run, steps, flow_run, recorder, port)
        if run.left_behind is not None and facts.hands_back:
            recorder.linger(run.left_behind)
        return _ended(run.state, checked, port)
    finally:
        sampler.unwatch(facts.uid, recorder.emit)
        this_process.end(run)


def _drive(
    run: TaskRun, steps: Any, flow_run: KnownFlowRun, recorder: ExecutionRecorder, port: Port
) -> None:
    settings.use_from_here(flow_run.settings)
    if settings.get_settings().tqdm:
        tqdm_bars.patch()
    active.tags_in_force.set(flow_run.info.tags)
    record_here(recorder)
    driver = Execution(run, steps)
    while (seconds := driver.advance()) is not None:
        port.sleep(run, seconds)


class _Checked:
    """Looks whether results can leave this process, before they are recorded as results."""

    def __init__(self, pickling: Pickling, is_measured: bool) -> None:
        self._pickling = pickling
        self._is_measured = is_measured
        self.value: Any = self
        self.data: bytes | int | None = None

    def execution(self, run: TaskRun, **how: bool) -> Generator[Any, Any, State[Any]]:
        """Return an execution's steps; goes between it and its driver."""
        steps, outcome = execution(run, **how), None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if type(step) is not Call:
                outcome = yield step
                continue
            used = None
            begun = process_meter.begin() if self._is_measured else None
            try:
                outcome = yield step
            finally:
                if begun is not None:
                    used = process_meter.end(begun)
            outcome.usage = used or outcome.usage
            if outcome.error is None:
                outcome = self._check(outcome)

    def _check(self, outcome: CallResult) -> CallResult:
        value = outcome.value
        if is_atom(value):
            return outcome
        try:
            self.data = carried(value, self._pickling)
        except Exception as problem:
            error = _unsendable(value, problem, self._pickling)
            return CallResult(None, error, outcome.usage)
        self.value = value
        return outcome


def _unsendable(value: Any, problem: Exception, pickling: Pickling) -> UnsendableResult:
    from flowdeck.remote.pickling import what_is_wrong
    from flowdeck.values.statics import type_name

    part = what_is_wrong(pickling, value)
    where = f" (its part {part})" if part else ""
    error = UnsendableResult(
        f"the result, a {type_name(value)}, cannot be sent from its worker{where}: "
        f"{type(problem).__name__}: {problem}. Return something that can be pickled."
    )
    error.__cause__ = problem
    return error


# -- ending --------------------------------------------------------------------------------------------


def _ended(state: State[Any], checked: _Checked, port: Port) -> tuple[Reply, End]:
    if state.type is StateType.SCHEDULED:  # to be tried again, by way of the flow's process
        delay = seconds_until_retry(state)
        end = End(END, state.code, None, None, state.us, AGAIN, delay, None)
        return Reply(state.code, delay, port.pickling), end
    kind, data = _data_of(state, checked, port)
    packed = None if state._details is None else pickle.dumps(state._details)
    reply = Reply(state.code, state.data, port.pickling)
    name = state.stored_name
    return reply, End(END, state.code, name, state.message, state.us, kind, data, packed)


def _data_of(state: State[Any], checked: _Checked, port: Port) -> tuple[int, Any]:
    """Return how a state's data gets home, and the data if it rides along."""
    value = state.data
    if is_atom(value):
        return ATOM, value
    pickling = pickling_of(port.pickling)
    if is_a(value, BaseException):
        data = errors.pack(value, pickling)
        return (ERROR, data) if len(data) <= _SMALL_ERROR else (REMOTE, len(data))
    found = checked.data if value is checked.value else carried(value, pickling)
    return (CARRIED, found) if type(found) is bytes else (REMOTE, found)


def _crashed(
    facts: Facts, error: BaseException, port: Port, recorder: ExecutionRecorder
) -> tuple[Reply, End]:
    """Record that the worker could not even begin, or could not end, the execution."""
    from flowdeck.states.transitions import crash_message

    state: State[Any] = Crashed(message=crash_message(error), data=error)
    code, us = CRASHED, state.us
    message = recorded_message(state.message)
    state_event = events.state(
        facts.uid, facts.no, -1, code, us, None, message, 1, port.worker, None
    )
    try:
        record_failure(_Stub(facts.uid, facts.no, recorder), state, None)
    except Exception:
        pass  # the state says what happened
    recorder.emit(state_event)
    data = errors.pack(error, pickling_of(port.pickling))
    return (
        Reply(code, error, port.pickling),
        End(END, code, None, state.message, us, ERROR, data, None),
    )


class _Stub:
    """As much of a task run as recording a failure needs."""

    run_count = 1

    def __init__(self, uid: str, no: int, recorder: ExecutionRecorder) -> None:
        self.info = self
        self.uid = uid
        self.no = no
        self.recorder = recorder
