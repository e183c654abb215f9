"""States of runs as flows and tasks see them: how to make them, ask them and count them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from flowdeck.states.constructors import (
    AwaitingConcurrencySlot,
    AwaitingRetry,
    Cancelled,
    Cancelling,
    Completed,
    Crashed,
    Failed,
    NotReady,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
)
from flowdeck.states.lazy_values import LazyValue, Missing
from flowdeck.states.state import (
    State,
    StateDetails,
    exception_of,
    is_state,
    is_state_iterable,
    raise_state_exception,
)
from flowdeck_store.states import FINAL_TYPES, StateType

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AwaitingConcurrencySlot", "AwaitingRetry", "Cancelled", "Cancelling", "Completed", "Crashed",
    "Failed", "LazyValue", "Missing", "NotReady", "Paused", "Pending", "Retrying", "Running",
    "Scheduled", "State", "StateDetails", "StateGroup", "StateType", "exception_of", "is_state",
    "is_state_iterable", "raise_state_exception",
]  # fmt: skip


class StateGroup:
    """Counts over some states."""

    def __init__(self, states: Iterable[State[Any]]) -> None:
        self.states = list(states)
        self.type_counts = Counter(state.type for state in self.states)
        self.total_count = len(self.states)
        self.cancelled_count = self.type_counts[StateType.CANCELLED]
        self.final_count = sum(self.type_counts[t] for t in FINAL_TYPES)
        self.not_final_count = self.total_count - self.final_count

    @property
    def fail_count(self) -> int:
        """How many failed or crashed."""
        return self.type_counts[StateType.FAILED] + self.type_counts[StateType.CRASHED]

    def all_completed(self) -> bool:
        """Say whether all completed."""
        return self.type_counts[StateType.COMPLETED] == self.total_count

    def any_cancelled(self) -> bool:
        """Say whether one was cancelled."""
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        """Say whether one failed or crashed."""
        return self.fail_count > 0

    def any_paused(self) -> bool:
        """Say whether one is paused."""
        return self.type_counts[StateType.PAUSED] > 0

    def all_final(self) -> bool:
        """Say whether all have ended."""
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """Return e.g. ``total=4, not_final=2, 'FAILED'=1, 'COMPLETED'=1``."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"not_final={self.not_final_count}")
        parts += [f"{t.value!r}={n}" for t, n in self.type_counts.items() if n]
        return ", ".join(parts)
