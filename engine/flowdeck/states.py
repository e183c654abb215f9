"""States of runs as flows and tasks see them: how to make them, ask them and count them."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from typing import TYPE_CHECKING, Any

from flowdeck.run_state import (
    LazyValue,
    Missing,
    State,
    StateDetails,
    exception_of,
    is_state,
    is_state_iterable,
    raise_state_exception,
)
from flowdeck_store.states import FINAL_TYPES, NOT_READY, StateType

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AwaitingRetry", "Cancelled", "Cancelling", "Completed", "Crashed", "Failed", "LazyValue",
    "Missing", "NotReady", "Paused", "Pending", "Retrying", "Running", "Scheduled", "State",
    "StateDetails", "StateGroup", "StateType", "exception_of", "is_state", "is_state_iterable",
    "raise_state_exception",
]  # fmt: skip


def _make(
    type_: StateType,
    default_name: str | None,
    message: str | None,
    data: Any,
    name: str | None,
    state_details: StateDetails | None,
) -> State[Any]:
    return State(type_, name or default_name, message, data, state_details)


def Scheduled(
    scheduled_time: datetime.datetime | None = None,
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """To run at ``scheduled_time`` (aware; now if not given)."""
    details = dataclasses.replace(state_details) if state_details else StateDetails()
    details.scheduled_time = scheduled_time or datetime.datetime.now(datetime.UTC)
    return _make(StateType.SCHEDULED, None, message, data, name, details)


def AwaitingRetry(
    scheduled_time: datetime.datetime | None = None,
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Failed, to run again at ``scheduled_time``."""
    return Scheduled(
        scheduled_time,
        message=message,
        data=data,
        name=name or "AwaitingRetry",
        state_details=state_details,
    )


def Pending(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Exists, has not started."""
    return _make(StateType.PENDING, None, message, data, name, state_details)


def NotReady(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Will not start: an upstream run did not complete."""
    return _make(StateType.PENDING, NOT_READY, message, data, name, state_details)


def Running(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """The function is being executed."""
    return _make(StateType.RUNNING, None, message, data, name, state_details)


def Retrying(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """The function is being executed again."""
    return _make(StateType.RUNNING, "Retrying", message, data, name, state_details)


def Completed(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Ended well."""
    return _make(StateType.COMPLETED, None, message, data, name, state_details)


def Failed(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Ended by an exception of the user's code, or by its decision."""
    return _make(StateType.FAILED, None, message, data, name, state_details)


def Crashed(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Ended by something other than the user's code."""
    return _make(StateType.CRASHED, None, message, data, name, state_details)


def Cancelling(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Asked to stop, not stopped yet."""
    return _make(StateType.CANCELLING, None, message, data, name, state_details)


def Cancelled(
    *,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Ended because somebody asked for it."""
    return _make(StateType.CANCELLED, None, message, data, name, state_details)


def Paused(
    *,
    timeout_seconds: float | None = None,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Waits for somebody; ``timeout_seconds`` from now it is no longer worth waiting."""
    details = dataclasses.replace(state_details) if state_details else StateDetails()
    if timeout_seconds is not None:
        now = datetime.datetime.now(datetime.UTC)
        details.pause_timeout = now + datetime.timedelta(seconds=timeout_seconds)
    return _make(StateType.PAUSED, None, message, data, name, details)


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
        return self.type_counts[StateType.COMPLETED] == self.total_count

    def any_cancelled(self) -> bool:
        return self.cancelled_count > 0

    def any_failed(self) -> bool:
        return self.fail_count > 0

    def any_paused(self) -> bool:
        return self.type_counts[StateType.PAUSED] > 0

    def all_final(self) -> bool:
        return self.final_count == self.total_count

    def counts_message(self) -> str:
        """Return e.g. ``total=4, not_final=2, 'FAILED'=1, 'COMPLETED'=1``."""
        parts = [f"total={self.total_count}"]
        if self.not_final_count:
            parts.append(f"not_final={self.not_final_count}")
        parts += [f"{t.value!r}={n}" for t, n in self.type_counts.items() if n]
        return ", ".join(parts)
