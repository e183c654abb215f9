"""The constructors of states, one for each thing that can be said of a run.

They differ in type, default name and description only: one function makes them all.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from flowdeck.states.state import State, StateDetails
from flowdeck_store.states import AWAITING_SLOT, NOT_READY, StateType

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., State[Any]]")


class StateConstructor(Protocol):
    """Makes states of one type."""

    def __call__(
        self,
        *,
        message: str | None = None,
        data: Any = None,
        name: str | None = None,
        state_details: StateDetails | None = None,
    ) -> State[Any]: ...


class TimedStateConstructor(Protocol):
    """Makes states of runs that wait for a time (aware; now if not given)."""

    def __call__(
        self,
        scheduled_time: datetime.datetime | None = None,
        *,
        message: str | None = None,
        data: Any = None,
        name: str | None = None,
        state_details: StateDetails | None = None,
    ) -> State[Any]: ...


def _shown_as(constructor: F, name: str, doc: str) -> F:
    """Give a constructor the name under which users and pickle find it."""
    constructor.__name__ = constructor.__qualname__ = name
    constructor.__module__ = "flowdeck.states"
    constructor.__doc__ = doc
    return constructor


def _of(shown: str, type_: StateType, doc: str, default: str | None = None) -> StateConstructor:
    def make(
        *,
        message: str | None = None,
        data: Any = None,
        name: str | None = None,
        state_details: StateDetails | None = None,
    ) -> State[Any]:
        return State(type_, name or default, message, data, state_details)

    return _shown_as(make, shown, doc)


def _timed(shown: str, doc: str, default: str | None = None) -> TimedStateConstructor:
    def make(
        scheduled_time: datetime.datetime | None = None,
        *,
        message: str | None = None,
        data: Any = None,
        name: str | None = None,
        state_details: StateDetails | None = None,
    ) -> State[Any]:
        details = dataclasses.replace(state_details) if state_details else StateDetails()
        details.scheduled_time = scheduled_time or datetime.datetime.now(datetime.UTC)
        return State(StateType.SCHEDULED, name or default, message, data, details)

    return _shown_as(make, shown, doc)


Scheduled: Final = _timed("Scheduled", "To run at ``scheduled_time`` (aware; now if not given).")
AwaitingRetry: Final = _timed(
    "AwaitingRetry", "Failed, to run again at ``scheduled_time``.", "AwaitingRetry"
)
AwaitingConcurrencySlot: Final = _timed(
    "AwaitingConcurrencySlot",
    "Waits for a slot of a limited tag.",
    AWAITING_SLOT,
)
Pending: Final = _of("Pending", StateType.PENDING, "Exists, has not started.")
NotReady: Final = _of(
    "NotReady", StateType.PENDING, "Will not start: an upstream run did not complete.", NOT_READY
)
Running: Final = _of("Running", StateType.RUNNING, "The function is being executed.")
Retrying: Final = _of(
    "Retrying", StateType.RUNNING, "The function is being executed again.", "Retrying"
)
Completed: Final = _of("Completed", StateType.COMPLETED, "Ended well.")
Failed: Final = _of(
    "Failed", StateType.FAILED, "Ended by an exception of the user's code, or by its decision."
)
Crashed: Final = _of("Crashed", StateType.CRASHED, "Ended by something other than the user's code.")
Cancelling: Final = _of("Cancelling", StateType.CANCELLING, "Asked to stop, not stopped yet.")
Cancelled: Final = _of("Cancelled", StateType.CANCELLED, "Ended because somebody asked for it.")


def Paused(
    *,
    timeout_seconds: float | None = None,
    message: str | None = None,
    data: Any = None,
    name: str | None = None,
    state_details: StateDetails | None = None,
) -> State[Any]:
    """Waits for somebody.

    Args:
        timeout_seconds: from now; after that it is no longer worth waiting.
        message: for people.
        data: the value.
        name: instead of ``Paused``.
        state_details: what else is known; they are copied.
    """
    details = dataclasses.replace(state_details) if state_details else StateDetails()
    if timeout_seconds is not None:
        now = datetime.datetime.now(datetime.UTC)
        details.pause_timeout = now + datetime.timedelta(seconds=timeout_seconds)
    return State(StateType.PAUSED, name, message, data, details)
