"""What a task run's time was spent on: waiting for inputs, for a slot, for a worker; running; between
tries. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_store.states import (
    AWAITING_RETRY,
    AWAITING_SLOT,
    PAUSED,
    PENDING,
    RUNNING,
    SCHEDULED,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.read.records import StateRecord, TaskRunRecord


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Seconds by what they were spent on; together they are the time since the call.

    Attributes:
        inputs: until the last upstream had ended.
        slot: for a slot of a limited tag.
        worker: for a free worker or thread, with all that it needed (the engine's share included).
        running: in the function, all tries together.
        retry: between tries.
        paused: in a state that is paused.
    """

    inputs: float = 0.0
    slot: float = 0.0
    worker: float = 0.0
    running: float = 0.0
    retry: float = 0.0
    paused: float = 0.0

    @property
    def total(self) -> float:
        """Seconds from the call to the end (or to now)."""
        return self.inputs + self.slot + self.worker + self.running + self.retry + self.paused


def time_split(
    task: TaskRunRecord,
    states: Iterable[StateRecord],
    ready_us: int | None,
    now_us: int,
) -> TimeSplit:
    """Split the time of one task run.

    Args:
        task: the task run.
        states: its history, oldest first.
        ready_us: when its last upstream ended; ``None`` if it has none.
        now_us: the end of what has not ended.
    """
    end = task.ended_us or max(now_us, task.created_us)
    ready = min(max(task.created_us, ready_us or 0), end)
    spent = dict.fromkeys(("slot", "worker", "running", "retry", "paused"), 0)
    doing, since = "worker", task.created_us
    for state in [*states, None]:
        until = end if state is None else min(max(state.us, since), end)
        if doing == "worker":
            spent["worker"] += max(0, until - max(since, ready))
        else:
            spent[doing] += until - since
        if state is not None:
            doing, since = _doing(state, doing), until
    known = sum(spent.values())
    inputs = max(0, end - task.created_us - known)
    return TimeSplit(inputs / 1e6, **{name: us / 1e6 for name, us in spent.items()})


def _doing(state: StateRecord, before: str) -> str:
    if state.code == RUNNING:
        return "running"
    if state.code == PAUSED:
        return "paused"
    if state.code == SCHEDULED:
        if state.named == AWAITING_SLOT:
            return "slot"
        return "retry" if state.named == AWAITING_RETRY else "worker"
    if state.code == PENDING:
        return "worker"
    return before  # cancelling: the function still runs; final: nothing follows
