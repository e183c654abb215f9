"""What a run was like at a moment of the past: decided from the changes of state that were recorded.

Nothing is run again: this plays what is in the record. :func:`moment_of` decides for one task run (or
flow run) and one time; it is pure. :class:`History` knows which of them change between two times, so
that a step costs what has changed in it, however many task runs there are.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flowdeck_store.ids import number_of, run_of, task_run_id
from flowdeck_store.states import (
    CANCELLING,
    CRASHED,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    is_final,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowdeck_store.read.reader import Reader


class StateChange(NamedTuple):
    """A state that was entered: when, its code, its name unless it is the type's own, its message."""

    us: int
    code: int
    named: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class RunMoment:
    """What a task run or flow run was like at a time; the fields are those of its record."""

    code: int
    named: str | None
    message: str | None
    state_us: int
    started_us: int | None
    ended_us: int | None
    attempt: int


def moment_of(created_us: int, changes: Sequence[StateChange], us: int) -> RunMoment | None:
    """Return what a run was like at a time.

    Args:
        created_us: when it was made; until the first change it is Pending.
        changes: the states that it entered, by time.
        us: the time.

    Returns:
        ``None`` where it was not there yet.
    """
    count = bisect_right(changes, us, key=lambda change: change.us)
    if created_us > us and not count:
        return None
    started, attempt, going = None, 0, False
    for change in changes[:count]:
        if change.code == RUNNING:
            if not going or change.named is not None:  # Retrying, without a wait between
                attempt += 1
            started = change.us if started is None else started
            going = True
        elif change.code not in {PAUSED, CANCELLING, PENDING}:
            going = False
    last = changes[count - 1] if count else StateChange(created_us, PENDING, None, None)
    ended = last.us if is_final(last.code, last.named) else None
    return RunMoment(last.code, last.named, last.message, last.us, started, ended, max(1, attempt))


class History:
    """What was recorded of the states of a run and of all runs below it.

    Args:
        created: when each task run and flow run was made, by packed id (number 0: the flow run).
        changes: the states that each entered, in the order recorded.

    Attributes:
        runs: numbers of the flow runs.
    """

    def __init__(
        self, created: Mapping[int, int], changes: Mapping[int, Iterable[StateChange]]
    ) -> None:
        self._created = created
        self._changes = {
            id_: sorted(of_run, key=lambda change: change.us) for id_, of_run in changes.items()
        }
        every = [(us, id_) for id_, us in created.items()]
        every += [(change.us, id_) for id_, found in self._changes.items() for change in found]
        every.sort()
        self._times = [us for us, _ in every]
        self._ids = [id_ for _, id_ in every]
        self.runs = sorted({run_of(id_) for id_ in created})

    @property
    def start_us(self) -> int:
        """When the run began, as all its views count; the first thing that happened, if it never did."""
        own = self._changes.get(task_run_id(self.runs[0], 0), []) if self.runs else []
        first = self._times[0] if self._times else 0
        return next((change.us for change in own if change.code == RUNNING), first)

    @property
    def end_us(self) -> int:
        """When the last thing happened."""
        return self._times[-1] if self._times else 0

    def at(self, id_: int, us: int) -> RunMoment | None:
        """Return what a task run or flow run was like at a time; see :func:`moment_of`."""
        created = self._created.get(id_)
        return None if created is None else moment_of(created, self._changes.get(id_, ()), us)

    def changed(self, before_us: int, now_us: int) -> set[int]:
        """Return which of them are not the same at two times, in whichever order."""
        low, high = sorted((before_us, now_us))
        return set(self._ids[bisect_right(self._times, low) : bisect_right(self._times, high)])

    def following(self, us: int) -> int:
        """Return when something next happens after a time; the end where nothing does."""
        place = bisect_right(self._times, us)
        return self._times[place] if place < len(self._times) else self.end_us

    def preceding(self, us: int) -> int:
        """Return when something last happened before a time; the start where nothing did."""
        place = bisect_right(self._times, us - 1)
        return max(self.start_us, self._times[place - 1] if place else 0)

    def failures(self) -> list[int]:
        """Return when task runs failed or crashed."""
        return sorted(
            change.us
            for id_, found in self._changes.items()
            if number_of(id_)
            for change in found
            if change.code in {FAILED, CRASHED}
        )


def read_history(reader: Reader, run_id: int) -> History:
    """Read what was recorded of the states of a run and of all runs below it.

    Measured with 5,000 task runs: 90 ms.
    """
    created: dict[int, int] = {}
    changes: dict[int, list[StateChange]] = {}
    for id_ in reader.run_tree(run_id):
        run = reader.run(id_)
        if run is None:
            continue
        created[task_run_id(id_, 0)] = run.created_us
        for state in reader.states_page(id_, limit=0):
            change = StateChange(state.us, state.code, state.named, state.message)
            changes.setdefault(task_run_id(id_, state.task_no), []).append(change)
        for task in reader.tasks(id_, limit=0):
            created[task.id] = task.created_us
            if task.id not in changes:  # its history was cut: what its row says
                changes[task.id] = _of_row(task.started_us, task.ended_us, task.code, task.named)
    return History(created, changes)


def _of_row(
    started_us: int | None, ended_us: int | None, code: int, named: str | None
) -> list[StateChange]:
    found = [] if started_us is None else [StateChange(started_us, RUNNING, None, None)]
    return found if ended_us is None else [*found, StateChange(ended_us, code, named, None)]
