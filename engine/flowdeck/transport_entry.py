"""What the flow's process knows of a task run that executes elsewhere, and how its events become
record: in their order, whatever the engine does to messages, and never past its end."""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import TASK_RUNS, WARNING, console
from flowdeck.states import State
from flowdeck.transport_events import END
from flowdeck_store import events
from flowdeck_store.states import PENDING, RUNNING, TYPES, bucket, is_final

if TYPE_CHECKING:
    from flowdeck.runs import TaskRun
    from flowdeck.transport_events import Item
    from flowdeck_store.events import Event

#: Seconds to wait for events that are missing between others.
_GAP: Final = 2.0


class Entry:
    """One task run that an engine has.

    Attributes:
        run: the task run.
        handle: the engine's future of it; ``None`` until it is submitted.
        waits: its upstreams that had not ended, each with whether its failure is allowed.
        keeps: its result is kept by the flow's process.
        cache_key: under which the result may be re-used.
        started: its function was called, as far as is known.
        worker: the last known worker.
        data: the runner's own.
    """

    __slots__ = (
        "_execution",
        "_first_missing",
        "_gap_since",
        "_held",
        "_nested",
        "_past",
        "_rest",
        "cache_key",
        "data",
        "handle",
        "keeps",
        "run",
        "started",
        "waits",
        "worker",
    )

    def __init__(
        self,
        run: TaskRun,
        waits: tuple[tuple[TaskRun, bool], ...],
        keeps: bool,
        cache_key: str | None,
    ) -> None:
        self.run = run
        self.handle: Any = None
        self.waits = waits
        self.keeps = keeps
        self.cache_key = cache_key
        self.started = False
        self.worker: str | None = None
        self.data: Any = None
        self._execution: int | None = None
        self._past: set[int] = set()
        self._first_missing = 0
        self._held: list[Item] = []
        self._gap_since = 0.0
        #: From the last state on: recorded when the value is known to be there too.
        self._rest: list[Event] | None = None
        #: Runs of flows that the task called: the bucket of each that has not ended.
        self._nested: dict[tuple[str, int], int] = {}

    @property
    def execution(self) -> int | None:
        """Number of the execution whose events count."""
        return self._execution

    # -- order ----------------------------------------------------------------------------------------

    def take(self, item: Item, quiet: bool) -> Event | None:
        """Record what an item says, or hold it until those before it are there.

        Args:
            item: from the channel.
            quiet: whether its lines are on this process's console already.

        Returns:
            The END, if the execution is over.
        """
        if item.execution != self._execution:
            if item.execution in self._past:
                self._only_logs(item, quiet)
                return None
            self._begin(item.execution)
        if item.first > self._first_missing:
            self._held.append(item)
            self._gap_since = self._gap_since or time.monotonic()
            return None
        end = self._play(item, quiet)
        while end is None and self._held and (following := self._following()) is not None:
            end = self._play(following, quiet)
        if not self._held:
            self._gap_since = 0.0
        return end

    def _begin(self, execution: int) -> None:
        if self._execution is not None:
            self._past.add(self._execution)
            self._end_nested()
            self._held.clear()
            self._rest = None
        self._execution, self._first_missing = execution, 0

    def _following(self) -> Item | None:
        for index, item in enumerate(self._held):
            if item.first <= self._first_missing:
                return self._held.pop(index)
        return None

    def _play(self, item: Item, quiet: bool) -> Event | None:
        new = item.events[max(self._first_missing - item.first, 0) :]
        self._first_missing = max(self._first_missing, item.first + len(item.events))
        for event in new:
            if event[0] == END:
                return event
            self._record(event, quiet)
        return None

    def give_up_gap(self, quiet: bool = False) -> Event | None:
        """If events have been missing for long, go on without them; returns the END as
        :meth:`take`."""
        if not self._held or time.monotonic() - self._gap_since < _GAP:
            return None
        return self.play_held(quiet)

    def play_held(self, quiet: bool = False) -> Event | None:
        """Record what was held, whatever is missing in between."""
        self._held.sort(key=lambda item: item.first)
        held, self._held = self._held, []
        for item in held:
            self._first_missing = max(self._first_missing, item.first)
            end = self._play(item, quiet)
            if end is not None:
                return end
        return None

    def _only_logs(self, item: Item, quiet: bool) -> None:
        record_logs(self.run.recorder, item, quiet, self.run.name)

    # -- recording ------------------------------------------------------------------------------------

    def _record(self, event: Event, quiet: bool) -> None:
        run = self.run
        kind = event[0]
        if kind == events.TASK_DEF or event[1] != run.info.uid or event[2] != run.no:
            self._record_nested(event)
            return
        if self._rest is not None:
            self._rest.append(event)
        elif kind == events.STATE:
            if is_final(event[4], event[6]):
                self._rest = [event]
            else:
                self._enter(event)
            return
        else:
            if kind == events.RENAME:
                run.name = event[3]
            run.recorder.emit(event)
        if kind == events.LOG and not quiet:
            show(event, run.name)

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
        run.enter(made(code, name, message, max(us, run.state.us)), data)

    def rest(self) -> list[Event]:
        """Return, once, what follows the last state, without it."""
        rest, self._rest = self._rest, None
        return (rest or [])[1:]

    def last_state_us(self) -> int | None:
        """Return when the last state was entered, if it is known."""
        return self._rest[0][5] if self._rest else None

    # -- flows that a task calls ------------------------------------------------------------------------

    def _record_nested(self, event: Event) -> None:
        kind = event[0]
        if kind == events.RUN:
            self._nested[event[1], 0] = -1
        elif kind == events.TASK:
            self._nested[event[1], event[2]] = bucket(PENDING, None)
        elif kind == events.STATE:
            key = event[1], event[2]
            if is_final(event[4], event[6]):
                self._nested.pop(key, None)
            else:
                self._nested[key] = bucket(event[4], event[6])
        self.run.recorder.emit(event)

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
        self.play_held()
        for event in self.rest():
            if event[0] == events.LOG:
                self.run.recorder.emit(event)
        self._end_nested()


def made(code: int, name: str | None, message: str | None, us: int) -> State[Any]:
    """Return a state as an event tells it."""
    state: State[Any] = State(TYPES[code], name, message)
    state.us = us
    return state


def ended_state(entry: Entry, end: Event, data: Any) -> State[Any]:
    """Return the last state that an END tells of."""
    _, code, name, message, us, _, _, details = end
    state = made(code, name, message, max(us, entry.run.state.us))
    state.data = data
    if details is not None:
        state._details = pickle.loads(details)
    return state


def record_logs(recorder: Any, item: Item, quiet: bool, name: str) -> None:
    """Record only the log lines of an item: those happened, whatever became of the execution."""
    for event in item.events:
        if event[0] == events.LOG:
            recorder.emit(event)
            if not quiet:
                show(event, name)


def show(event: Event, name: str) -> None:
    """Write a log line of a task run on the console."""
    if console.on and event[4] >= console.level:
        logger = f"Task run {name!r}" if event[5] == TASK_RUNS else event[5]
        console.write(event[3], event[4], logger, event[6])


def executed_again(uid: str, no: int) -> Event:
    """Return the line that says that a run was executed again after its end."""
    return events.log(
        uid,
        no,
        events.now_us(),
        WARNING,
        TASK_RUNS,
        "Executed again on the cluster, after its end: the worker that held its result was lost. "
        "The recorded state stays as it is.",
    )
