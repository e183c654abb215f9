"""What the flow's process knows of a task run that executes elsewhere, and how its events become
record: in their order, whatever the engine does to messages, and never past its end."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import TASK_RUNS, WARNING, console
from flowdeck.remote.events import END, STAYS, End
from flowdeck.runs import slots
from flowdeck.runs.recorder import record_foreign
from flowdeck.states import State
from flowdeck.stopping import answers
from flowdeck_store import clock, events
from flowdeck_store.questions import ASKED
from flowdeck_store.states import PENDING, RUNNING, TYPES, bucket, is_final

if TYPE_CHECKING:
    from flowdeck.remote.events import Item
    from flowdeck.runs.task_run import TaskRun
    from flowdeck_store.events import Event

#: Seconds to wait for events that are missing between others.
_GAP: Final = 2.0


class RemoteRun:
    """One task run that an engine has.

    Args:
        run: the task run.
        waits: as below.
        keeps: as below.
        before: the execution of the attempt before, if that was another one.

    Attributes:
        run: the task run.
        handle: the engine's future of it; ``None`` until it is submitted.
        waits: its upstreams that had not ended, each with whether its failure is allowed.
        keeps: its result is kept by the flow's process.
        started: its function was called, as far as is known.
        worker: the last known worker.
        data: the runner's own.
        shares: what it needs on the cluster until it has ended.
    """

    __slots__ = (
        "_execution",
        "_first_missing",
        "_gap_since",
        "_held",
        "_nested",
        "_past",
        "_rest",
        "data",
        "handle",
        "keeps",
        "memory",
        "run",
        "shares",
        "started",
        "waits",
        "worker",
    )

    def __init__(
        self,
        run: TaskRun,
        waits: tuple[tuple[TaskRun, bool], ...],
        keeps: bool,
        before: PastExecution | None = None,
    ) -> None:
        self.run = run
        self.handle: Any = None
        self.waits = waits
        self.keeps = keeps
        self.started = False
        self.worker: str | None = None
        #: What the last sample of each worker said, bytes; all runs of a flow run have one such dict.
        self.memory: dict[str, int] = {}
        self.data: Any = None
        self.shares: tuple[Any, ...] = ()
        self._execution: int | None = None
        self._past: dict[int, PastExecution] = {} if before is None else before.with_past()
        self._first_missing = 0
        self._held: list[Item] = []
        self._gap_since = 0.0
        #: From the last state on: recorded when the value is known to be there too.
        self._rest: list[Event] | None = None
        #: Runs of flows that the task called: the bucket of each that has not ended.
        self._nested: dict[tuple[str, int], int] = {}

    @property
    def past_execution(self) -> PastExecution | None:
        """The execution whose events count, and how many of them have been taken."""
        if self._execution is None:
            return None
        return PastExecution(self._execution, self._first_missing, self._past)

    # -- order ----------------------------------------------------------------------------------------

    def receive(self, item: Item, quiet: bool) -> End | None:
        """Record what an item says, or hold it until those before it are there.

        Args:
            item: from the channel.
            quiet: whether its lines are on this process's console already.

        Returns:
            The END, if the execution is over.
        """
        if item.execution != self._execution:
            past = self._past.get(item.execution)
            if past is not None:
                past.record_logs(self.run.recorder, item, quiet, self.run.name)
                return None
            self._begin(item.execution)
        if item.first > self._first_missing:
            self._held.append(item)
            self._gap_since = self._gap_since or clock.monotonic()
            return None
        end = self._record_new(item, quiet)
        while end is None and self._held and (following := self._next_held()) is not None:
            end = self._record_new(following, quiet)
        if not self._held:
            self._gap_since = 0.0
        return end

    def _begin(self, execution: int) -> None:
        if self._execution is not None:
            self._past[self._execution] = PastExecution(self._execution, self._first_missing)
            self._end_nested()
            self._held.clear()
            self._rest = None
        self._execution, self._first_missing = execution, 0

    def _next_held(self) -> Item | None:
        for index, item in enumerate(self._held):
            if item.first <= self._first_missing:
                return self._held.pop(index)
        return None

    def _record_new(self, item: Item, quiet: bool) -> End | None:
        new = item.events[max(self._first_missing - item.first, 0) :]
        self._first_missing = max(self._first_missing, item.first + len(item.events))
        for event in new:
            if event[events.KIND] == END:
                return End(*event)
            self._record(event, quiet)
        return None

    def give_up_gap(self, quiet: bool = False) -> End | None:
        """If events have been missing for long, go on without them; returns the END as
        :meth:`receive`."""
        if not self._held or clock.monotonic() - self._gap_since < _GAP:
            return None
        return self.record_held(quiet)

    def record_held(self, quiet: bool = False) -> End | None:
        """Record what was held, whatever is missing in between."""
        self._held.sort(key=lambda item: item.first)
        held, self._held = self._held, []
        for item in held:
            self._first_missing = max(self._first_missing, item.first)
            end = self._record_new(item, quiet)
            if end is not None:
                return end
        return None

    # -- recording ------------------------------------------------------------------------------------

    def _record(self, event: Event, quiet: bool) -> None:
        run = self.run
        kind = event[events.KIND]
        if (
            kind == events.TASK_DEF
            or event[events.UID] != run.info.uid
            or event[events.NO] != run.no
        ):
            self._record_nested(event)
            return
        if kind == STAYS:
            slots.linger(run)
        elif self._rest is not None:
            self._rest.append(event)
        elif kind == events.STATE:
            if is_final(event[events.STATE_CODE], event[events.STATE_NAME]):
                self._rest = [event]
            else:
                self._enter(event)
            return
        else:
            if kind == events.RENAME:
                run.name = event[events.RENAME_NAME]
            record_foreign(run.recorder, event)
            if kind == events.ARTIFACT and not run.recorder.is_answered:
                self._answer_for_nobody(event)
        if kind == events.LOG and not quiet:
            show(event, run.name)

    def _answer_for_nobody(self, event: Event) -> None:
        """A worker asks a person, and nothing is recorded: it would wait for ever."""
        if event[events.ARTIFACT_TYPE] == ASKED and self.run.owner is not None:
            self.run.owner.runner.pass_answer(answers.nobody(event[events.ARTIFACT_DATA]))

    def _enter(self, event: Event) -> None:
        """Make a state that is not the last one the run's state."""
        run = self.run
        _, _, _, _, code, us, name, message, attempt, worker, data = event
        if code == RUNNING:
            if run.run_count >= attempt and self._past and name is None:
                # The engine began anew, because it lost the worker: the run was RUNNING before.
                name, message = "Rerunning", "Started again on another worker: the first was lost."
            self.started = True
            run.started_us = run.started_us or us
        if run.is_final:
            return
        run.run_count = attempt
        self.worker = run.worker = worker
        run.enter(state_of(code, name, message, max(us, run.state.us)), data)

    def take_rest(self) -> list[Event]:
        """Return, once, what follows the last state, without it."""
        rest, self._rest = self._rest, None
        return (rest or [])[1:]

    # -- flows that a task calls ------------------------------------------------------------------------

    def _record_nested(self, event: Event) -> None:
        kind = event[events.KIND]
        if kind == events.SAMPLE:
            self.memory[event[events.SAMPLE_WORKER]] = event[events.SAMPLE_MEMORY]
        elif kind == events.RUN:
            self._nested[event[events.UID], 0] = -1
        elif kind == events.TASK:
            self._nested[event[events.UID], event[events.NO]] = bucket(PENDING, None)
        elif kind == events.STATE:
            key = event[events.UID], event[events.NO]
            if is_final(event[events.STATE_CODE], event[events.STATE_NAME]):
                self._nested.pop(key, None)
            else:
                self._nested[key] = bucket(event[events.STATE_CODE], event[events.STATE_NAME])
        record_foreign(self.run.recorder, event)

    def _end_nested(self) -> None:
        """End the runs of flows that the task had called when its worker went."""
        from flowdeck_store.states import CRASHED

        nested, self._nested = self._nested, {}
        message = "The worker that executed it was lost."
        for (uid, no), before in nested.items():
            us = events.now_us()
            self.run.recorder.emit(
                events.state(uid, no, before, CRASHED, us, None, message, 1, self.worker, None)
            )

    def abandon(self) -> None:
        """Record what is left of an execution that will never end."""
        self.record_held()
        for event in self.take_rest():
            if event[events.KIND] == events.LOG:
                self.run.recorder.emit(event)
        self._end_nested()


def state_of(code: int, name: str | None, message: str | None, us: int) -> State[Any]:
    """Return a state as an event tells it.

    Args:
        code: of its type.
        name: ``None`` for the usual one.
        message: of it.
        us: when it was entered, µs.
    """
    state: State[Any] = State(TYPES[code], name, message)
    state.us = us
    return state


def ended_state(remote_run: RemoteRun, end: End, data: Any) -> State[Any]:
    """Return the last state of a run, as an END tells of it with these data."""
    us = max(end.us, remote_run.run.state.us)
    state = state_of(end.code, end.name, end.message, us)
    state.data = data
    if end.details is not None:
        state._details = pickle.loads(end.details)
    return state


class PastExecution:
    """An execution that does not count any more: only its log lines are recorded, for those
    happened, whatever became of it; and each once, for engines may deliver a batch twice.

    Args:
        execution: its number.
        first_missing: how many of its events have been taken.
        past: the executions of the same run before it.
    """

    __slots__ = ("_first_missing", "_past", "execution")

    def __init__(
        self, execution: int, first_missing: int, past: dict[int, PastExecution] | None = None
    ) -> None:
        self.execution = execution
        self._first_missing = first_missing
        self._past = past or None

    def with_past(self) -> dict[int, PastExecution]:
        """Return it and the executions of the same run before it, by their numbers."""
        return {**(self._past or {}), self.execution: self}

    def record_logs(self, recorder: Any, item: Item, quiet: bool, name: str) -> None:
        """Record the log lines of an item that are new.

        Args:
            recorder: of the flow run.
            item: from the channel.
            quiet: whether its lines are on this process's console already.
            name: of the task run, for the console.
        """
        new = item.events[max(self._first_missing - item.first, 0) :]
        self._first_missing = max(self._first_missing, item.first + len(item.events))
        for event in new:
            if event[events.KIND] == events.LOG:
                recorder.emit(event)
                if not quiet:
                    show(event, name)


def show(event: Event, name: str) -> None:
    """Write a log line of a task run on the console."""
    _, _, _, us, level, logger, text = event
    if console.on and level >= console.level:
        console.write(us, level, f"Task run {name!r}" if logger == TASK_RUNS else logger, text)


def executed_again(recorder: Any, uid: str, no: int, times: int) -> None:
    """Say that a run was executed again after its end, in its record and on the console.

    Args:
        recorder: of the flow run.
        uid: of the flow run.
        no: of the task run.
        times: how often its function was executed by now.
    """
    event = events.log(
        uid,
        no,
        events.now_us(),
        WARNING,
        TASK_RUNS,
        "Executed again on the cluster, after its end: the worker that held its result was lost. "
        f"Its function was executed {times} times by now; the recorded state stays as it is.",
    )
    recorder.emit(event)
    show(event, f"{uid}.{no}")
