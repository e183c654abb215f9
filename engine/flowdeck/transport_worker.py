"""Executes one task run in a process that may share nothing with the flow's: no module, no disk, no
settings. What happens goes out through a :class:`~flowdeck.transport_events.Port`."""

from __future__ import annotations

import contextvars
import pickle
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck import cancellation, context, logging, recording, transport_errors
from flowdeck import settings as all_settings
from flowdeck.endings import record_failure
from flowdeck.execution import Execution
from flowdeck.runs import Stop, TaskRun
from flowdeck.states import Crashed, State
from flowdeck.steps import Call, Outcome
from flowdeck.task_run import lifecycle
from flowdeck.transport_events import ATOM, BLOCKED, CARRIED, END, ERROR, REMOTE, Courier, Outbox
from flowdeck.transport_sizes import carried
from flowdeck.transport_values import (
    Reply,
    is_atom,
    pickling_of,
    unpickle_parameters,
)
from flowdeck_store import events
from flowdeck_store.events import Event, now_us
from flowdeck_store.states import CRASHED, PENDING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from flowdeck.runs import FlowRunInfo
    from flowdeck.tasks import Task
    from flowdeck.transport import Pickling
    from flowdeck.transport_events import Port

#: Tasks and flow runs that a process remembers, so that their bytes are read once.
_REMEMBERED: Final = 256
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


@dataclass(slots=True)
class _FlowRun:
    """What this process knows of a flow run."""

    info: FlowRunInfo
    settings: Any


class _Process:
    """What this process remembers and executes. One instance; guarded by its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tasks: OrderedDict[bytes, Task[Any, Any]] = OrderedDict()
        self.flow_runs: OrderedDict[bytes, _FlowRun] = OrderedDict()
        #: What was last read from the bytes of a task and its flow run together.
        self.codes: dict[bytes, tuple[_FlowRun, Task[Any, Any]]] = {}
        self.couriers: dict[str, Courier] = {}
        self.executing: dict[tuple[str, int], TaskRun] = {}
        self.refused: dict[str, dict[int, Stop]] = {}


_process: Final = _Process()


def execute(code: bytes, head: bytes, replies: Sequence[Reply], port: Port) -> tuple[Reply, bytes]:
    """Execute a task run to its end.

    Args:
        code: the task and its flow run, see :class:`flowdeck.transport_payload.Payload`.
        head: this task run.
        replies: of the upstreams, in the order of the payload's inputs.
        port: the way home.

    Returns:
        The reply, to be kept as the engine's value, and the tail: the last events, which must reach
        the flow's process too. Never raises.
    """
    facts_of, body = pickle.loads(head)
    facts = Facts(*facts_of)
    courier = _courier(facts.uid, port)
    outbox = courier.open(facts.uid, facts.no)
    outbox.mutes_results = facts.keeps
    try:
        blocker = _blocker(facts, replies)
        if blocker is not None:
            reply = Reply(PENDING, None, port.pickling, blocker)
            end: Event = (END, PENDING, None, None, now_us(), BLOCKED, blocker, None)
        else:
            reply, end = _execute(code, body, facts, replies, port, outbox)
    except BaseException as error:
        reply, end = _crashed(facts, error, port, outbox)
    return reply, courier.close(outbox, end)


def stop_here(uid: str, numbers: Sequence[int], why: int) -> list[int]:
    """Ask task runs to stop; those that have not come yet are refused when they do.

    Args:
        uid: of the flow run.
        numbers: of the task runs.
        why: a :class:`flowdeck.runs.Stop`.

    Returns:
        The numbers of those that execute in this process.
    """
    stop = Stop(why)
    with _process.lock:
        _process.refused.setdefault(uid, {}).update(dict.fromkeys(numbers, stop))
        found = [run for no in numbers if (run := _process.executing.get((uid, no))) is not None]
    for run in found:
        run.cancel_requested = stop
        interrupt = run.interrupt
        if interrupt is not None:
            interrupt()
    return [run.no for run in found]


def executing_here(uid: str) -> list[int]:
    """Return the numbers of a flow run's task runs that execute in this process."""
    with _process.lock:
        return [no for (of, no) in _process.executing if of == uid]


def leave(uid: str) -> None:
    """Forget a flow run that is over."""
    with _process.lock:
        _process.refused.pop(uid, None)
        _process.couriers.pop(uid, None)
        for key in [k for k, known in _process.flow_runs.items() if known.info.uid == uid]:
            del _process.flow_runs[key]
        for code in [k for k, (known, _) in _process.codes.items() if known.info.uid == uid]:
            del _process.codes[code]


def _courier(uid: str, port: Port) -> Courier:
    with _process.lock:
        courier = _process.couriers.get(uid)
        if courier is None:
            courier = _process.couriers[uid] = Courier(port)
        return courier


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
    outbox: Outbox,
) -> tuple[Reply, Event]:
    pickling = pickling_of(port.pickling)
    flow_run, task = _process.codes.get(code) or _read_code(code, pickling)
    parameters = unpickle_parameters(body, replies)
    run = TaskRun(
        task,
        flow_run.info,
        outbox,
        facts.no,
        facts.call,
        facts.name,
        parameters,
        frozenset(facts.tags),
    )
    run.worker = port.worker
    key = facts.uid, facts.no
    with _process.lock:
        _process.executing[key] = run
        run.cancel_requested = _process.refused.get(facts.uid, {}).get(facts.no, Stop.NO)
    try:
        checked = _Checked(pickling)
        # A copy of the engine's context, not an empty one: its own functions must work in tasks.
        contextvars.copy_context().run(_drive, run, checked, flow_run, outbox, port)
        return _ended(run.state, checked, port)
    finally:
        with _process.lock:
            if _process.executing.get(key) is run:
                del _process.executing[key]


def _drive(run: TaskRun, checked: _Checked, flow_run: _FlowRun, outbox: Outbox, port: Port) -> None:
    all_settings._overrides.set(flow_run.settings)
    context._tags.set(flow_run.info.tags)
    execution = Execution(run)
    execution._generator = checked.watch(lifecycle(run))
    recording.record_here(outbox)
    while (seconds := execution.advance()) is not None:
        port.sleep(run, seconds)


def _read_code(code: bytes, pickling: Pickling) -> tuple[_FlowRun, Task[Any, Any]]:
    info_bytes, task_bytes = pickle.loads(code)
    known = _known_flow_run(info_bytes, pickling), _known_task(task_bytes, pickling)
    with _process.lock:
        if len(_process.codes) >= _REMEMBERED:
            _process.codes.clear()
        _process.codes[code] = known
    return known


def _known_task(data: bytes, pickling: Pickling) -> Task[Any, Any]:
    with _process.lock:
        task = _process.tasks.get(data)
        if task is not None:
            _process.tasks.move_to_end(data)
            return task
    loaded: Task[Any, Any] = pickling.loads(data)
    with _process.lock:
        # Another thread may have read it too: one wins, so that its globals are shared.
        task = _process.tasks.setdefault(data, loaded)
        while len(_process.tasks) > _REMEMBERED:
            _process.tasks.popitem(last=False)
        return task


def _known_flow_run(data: bytes, pickling: Pickling) -> _FlowRun:
    with _process.lock:
        known = _process.flow_runs.get(data)
        if known is not None:
            _process.flow_runs.move_to_end(data)
            return known
    info, values = pickling.loads(data)
    settings = all_settings._Overrides(values)
    if not cancellation.live:  # else this is the flow's own process, and its console stays on
        contextvars.Context().run(_set_up_logging, settings)
    with _process.lock:
        known = _process.flow_runs.setdefault(data, _FlowRun(info, settings))
        while len(_process.flow_runs) > _REMEMBERED:
            _process.flow_runs.popitem(last=False)
        return known


def _set_up_logging(settings: Any) -> None:
    """Log as the flow's process does, but not on the console."""
    all_settings._overrides.set(settings)
    logging.setup()


class _Checked:
    """Looks whether results can leave this process, before they are recorded as results."""

    def __init__(self, pickling: Pickling) -> None:
        self._pickling = pickling
        self.value: Any = self
        self.data: bytes | int | None = None

    def watch(self, steps: Generator[Any, Any, State[Any]]) -> Generator[Any, Any, State[Any]]:
        """Go between a lifecycle and its driver."""
        outcome: Any = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            outcome = yield step
            if type(step) is Call and outcome.error is None:
                outcome = self._check(outcome)

    def _check(self, outcome: Outcome) -> Outcome:
        value = outcome.value
        if is_atom(value):
            return outcome
        try:
            self.data = carried(value, self._pickling)
        except Exception as problem:
            return Outcome(None, _unsendable(value, problem, self._pickling))
        self.value = value
        return outcome


def _unsendable(value: Any, problem: Exception, pickling: Pickling) -> UnsendableResult:
    from flowdeck.statics import type_name
    from flowdeck.transport import what_is_wrong

    part = what_is_wrong(pickling, value)
    where = f" (its part {part})" if part else ""
    error = UnsendableResult(
        f"the result, a {type_name(value)}, cannot be sent from its worker{where}: "
        f"{type(problem).__name__}: {problem}. Return something that can be pickled."
    )
    error.__cause__ = problem
    return error


# -- ending --------------------------------------------------------------------------------------------


def _ended(state: State[Any], checked: _Checked, port: Port) -> tuple[Reply, Event]:
    kind, data = _data_of(state, checked, port)
    packed = None if state._details is None else pickle.dumps(state._details)
    reply = Reply(state.code, state.data, port.pickling)
    name = state.stored_name
    return reply, (END, state.code, name, state.message, state.us, kind, data, packed)


def _data_of(state: State[Any], checked: _Checked, port: Port) -> tuple[int, Any]:
    """Return how a state's data gets home, and the data if it rides along."""
    value = state.data
    if is_atom(value):
        return ATOM, value
    pickling = pickling_of(port.pickling)
    if isinstance(value, BaseException):
        data = transport_errors.pack(value, pickling)
        return (ERROR, data) if len(data) <= _SMALL_ERROR else (REMOTE, len(data))
    found = checked.data if value is checked.value else carried(value, pickling)
    return (CARRIED, found) if type(found) is bytes else (REMOTE, found)


def _crashed(facts: Facts, error: BaseException, port: Port, outbox: Outbox) -> tuple[Reply, Event]:
    """Record that the worker could not even begin, or could not end, the execution."""
    from flowdeck.transitions import crash_message

    state: State[Any] = Crashed(message=crash_message(error), data=error)
    code, us = CRASHED, state.us
    state_event = events.state(
        facts.uid, facts.no, -1, code, us, None, state.message, 1, port.worker, None
    )
    try:
        record_failure(_Stub(facts.uid, facts.no, outbox), state, error)  # type: ignore[arg-type]
    except Exception:
        pass  # the state says what happened
    outbox.emit(state_event)
    data = transport_errors.pack(error, pickling_of(port.pickling))
    return (
        Reply(code, error, port.pickling),
        (END, code, None, state.message, us, ERROR, data, None),
    )


class _Stub:
    """As much of a task run as recording a failure needs."""

    run_count = 1

    def __init__(self, uid: str, no: int, outbox: Outbox) -> None:
        self.info = self
        self.uid = uid
        self.no = no
        self.recorder = outbox
