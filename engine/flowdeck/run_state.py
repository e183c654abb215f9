"""One state of a run as flows and tasks see it: type, name, message and, other than in the record,
the data or exception that the run produced. Flows import it from :mod:`flowdeck.states`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

from flowdeck import context
from flowdeck.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingResult,
    PausedRun,
    UnfinishedRun,
)
from flowdeck_store.events import now_us
from flowdeck_store.states import CODES, DEFAULT_NAMES, FINAL_TYPES, NOT_READY, StateType, bucket
from flowdeck_store.times import at

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

R = TypeVar("R")

_BAD = frozenset({StateType.FAILED, StateType.CRASHED, StateType.CANCELLED})


class LazyValue:
    """A value that is not in this process's memory: on disk or on a cluster."""

    __slots__ = ()

    def load(self) -> Any:
        """Return the value.

        Raises:
            MissingResult: it is gone.
        """
        raise NotImplementedError  # pragma: no cover - the two subclasses define it

    @property
    def is_far(self) -> bool:
        """Whether it may take long to get it: event loops do not wait for that."""
        return False


class Missing(LazyValue):
    """Stands for a value that was not kept."""

    __slots__ = ()

    def load(self) -> Any:
        raise MissingResult(
            "The result was not kept: the task ran with cache_result_in_memory=False and without "
            "persist_result=True."
        )


@dataclass(slots=True)
class StateDetails:
    """Whom a state belongs to and what else is known; ids are strings, times are aware UTC."""

    flow_run_id: str | None = None
    task_run_id: str | None = None
    child_flow_run_id: str | None = None
    scheduled_time: datetime.datetime | None = None
    cache_key: str | None = None
    cache_expiration: datetime.datetime | None = None
    refresh_cache: bool | None = None
    pause_timeout: datetime.datetime | None = None


class State(Generic[R]):
    """One state of a run. Truthy, hashable, equal by value (identity and time do not count)."""

    __slots__ = ("_details", "_id", "_info", "_no", "data", "message", "name", "type", "us")

    def __init__(
        self,
        type: StateType,
        name: str | None = None,
        message: str | None = None,
        data: Any = None,
        state_details: StateDetails | None = None,
    ) -> None:
        self.type = type
        self.name = name or DEFAULT_NAMES[CODES[type]]
        self.message = message
        self.data = data
        self.us = now_us()
        self._details = state_details
        self._id: str | None = None
        # Whose state it is: FlowRunInfo and number of the task run. The details follow from them
        # when somebody asks; 100,000 states do not need 100,000 copies of two ids.
        self._info: Any = None
        self._no = 0

    def belong(self, info: Any, no: int) -> None:
        """Mark this as a state of task run ``no`` (0: the flow run itself) of a flow run."""
        self._info = info
        self._no = no

    @property
    def id(self) -> str:
        """Unique text, made when first asked for."""
        if self._id is None:
            self._id = os.urandom(16).hex()
        return self._id

    @property
    def timestamp(self) -> datetime.datetime:
        """When the state was entered, aware UTC."""
        when = at(self.us)
        assert when is not None
        return when

    @property
    def state_details(self) -> StateDetails:
        """Ids of the run and further facts."""
        details = self._details
        if details is None:
            details = self._details = StateDetails()
        if self._info is not None and details.flow_run_id is None:
            details.flow_run_id = self._info.uid
            if self._no:
                details.task_run_id = f"{self._info.uid}.{self._no}"
        return details

    @property
    def is_from_run(self) -> bool:
        """Whether a run produced this state (in contrast to a user building it)."""
        if self._info is not None:
            return True
        details = self._details
        return details is not None and (
            details.flow_run_id is not None or details.task_run_id is not None
        )

    # -- what it is ---------------------------------------------------------------------------

    def is_scheduled(self) -> bool:
        return self.type is StateType.SCHEDULED

    def is_pending(self) -> bool:
        return self.type is StateType.PENDING

    def is_running(self) -> bool:
        return self.type is StateType.RUNNING

    def is_completed(self) -> bool:
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        return self.type is StateType.FAILED

    def is_crashed(self) -> bool:
        return self.type is StateType.CRASHED

    def is_cancelled(self) -> bool:
        return self.type is StateType.CANCELLED

    def is_cancelling(self) -> bool:
        return self.type is StateType.CANCELLING

    def is_paused(self) -> bool:
        return self.type is StateType.PAUSED

    def is_final(self) -> bool:
        return self.type in FINAL_TYPES

    @property
    def code(self) -> int:
        """The type's code in the record."""
        return CODES[self.type]

    @property
    def stored_name(self) -> str | None:
        """The name if it is not the type's default (what the record keeps)."""
        return None if self.name == DEFAULT_NAMES[CODES[self.type]] else self.name

    @property
    def bucket(self) -> int:
        """How a task run in this state is counted, see :mod:`flowdeck_store.states`."""
        return bucket(CODES[self.type], self.stored_name)

    @property
    def ends_run(self) -> bool:
        """Whether nothing follows by itself: final, or ``NotReady``."""
        return self.type in FINAL_TYPES or (
            self.type is StateType.PENDING and self.name == NOT_READY
        )

    # -- what it holds ------------------------------------------------------------------------

    def result(self, raise_on_failure: bool = True, fetch: bool | None = None) -> Any:
        """Return the run's value, or raise its exception.

        Called from async code (an async flow or task, or any thread with a running event loop
        outside of runs) it returns an awaitable of the same.

        Args:
            raise_on_failure: ``False`` returns the exception of a bad state instead.
            fetch: accepted for compatibility, without effect.

        Raises:
            UnfinishedRun: the state is not final.
            PausedRun: the run is paused.
            MissingResult: the value was not kept.
        """
        if context.in_async_code():
            return self.value_async(raise_on_failure)
        return self.value(raise_on_failure)

    def value(self, raise_on_failure: bool = True) -> Any:
        """As :meth:`result`, a plain value in async code too."""
        if self.type is StateType.PAUSED:
            raise PausedRun("Run is paused, its result is not available.")
        if self.type not in FINAL_TYPES:
            raise UnfinishedRun(f"Run is in {self.type.value} state, its result is not available.")
        if self.type in _BAD:
            if raise_on_failure:
                raise exception_of(self)
            return self.data if not isinstance(self.data, LazyValue) else self.data.load()
        data = self.data
        return data.load() if isinstance(data, LazyValue) else data

    async def value_async(self, raise_on_failure: bool = True) -> Any:
        """As :meth:`value`; the event loop goes on while a value is fetched from afar."""
        if isinstance(self.data, LazyValue) and self.data.is_far:
            import anyio.to_thread

            return await anyio.to_thread.run_sync(
                self.value, raise_on_failure, abandon_on_cancel=True
            )
        return self.value(raise_on_failure)

    # -- dunder -------------------------------------------------------------------------------

    def __str__(self) -> str:
        parts = []
        if self.message:
            parts.append(repr(self.message))
        if self.name.lower() != self.type.value.lower():
            parts.append(f"type={self.type.value}")
        return f"{self.name}({', '.join(parts)})"

    def __repr__(self) -> str:
        from flowdeck.previews import safe_repr

        data = "<not loaded>" if isinstance(self.data, LazyValue) else safe_repr(self.data)
        return f"{self.name}(message={self.message!r}, type={self.type.value}, result={data})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        if (self.type, self.name, self.message) != (other.type, other.name, other.message):
            return False
        try:
            return self.data is other.data or bool(self.data == other.data)
        except Exception:  # arrays have no truth value
            return False

    def __hash__(self) -> int:
        return hash((self.type, self.name, self.message))


# -- exceptions of bad states -------------------------------------------------------------------

_WRAPPERS: dict[StateType, tuple[type[Exception], str]] = {
    StateType.FAILED: (FailedRun, "Run failed."),
    StateType.CRASHED: (CrashedRun, "Run crashed."),
    StateType.CANCELLED: (CancelledRun, "Run cancelled."),
}


def exception_of(state: State[Any]) -> BaseException:
    """Return the exception that a failed, crashed or cancelled state stands for.

    One that stands for several runs gives the exception of the first bad one among them, or
    :class:`UnfinishedRun` if none is bad but some have not ended.

    Raises:
        ValueError: the state is not a bad one, or a collection of completed states.
    """
    if state.type not in _BAD:
        raise ValueError(f"Expected failed or crashed state got {state!r}.")
    wrapper, default = _WRAPPERS[state.type]
    data = state.data.load() if isinstance(state.data, LazyValue) else state.data
    if isinstance(data, BaseException):
        return data
    if data is None:
        return wrapper(state.message or default)
    if isinstance(data, str):
        return wrapper(data)
    children = [data] if isinstance(data, State) else data
    if is_state_iterable(children):
        for child in children:
            if child.type in _BAD:
                return exception_of(child)
        if not all(child.is_final() for child in children):
            return UnfinishedRun(state.message or "Runs have not ended, they have no result.")
        raise ValueError("Failed state result was an iterable of states but none were failed.")
    raise TypeError(
        f"Unexpected result for failed state: {data!r} —— {type(data).__name__} "
        "cannot be resolved into an exception"
    )


def raise_state_exception(state: State[Any]) -> None:
    """Raise the exception of a bad state; do nothing for any other."""
    if state.type in _BAD:
        raise exception_of(state)


def is_state(value: object) -> TypeGuard[State[Any]]:
    """Say whether ``value`` is a state."""
    return isinstance(value, State)


def is_state_iterable(value: object) -> TypeGuard[Iterable[State[Any]]]:
    """Say whether ``value`` is a non-empty list, tuple or set of states only."""
    return (
        isinstance(value, (list, tuple, set))
        and bool(value)
        and all(isinstance(item, State) for item in value)
    )
