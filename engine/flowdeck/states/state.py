"""One state of a run as flows and tasks see it: type, name, message and, other than in the record,
the data or exception that the run produced. Flows import it from :mod:`flowdeck.states`."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

from flowdeck.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    PausedRun,
    UnfinishedRun,
)
from flowdeck.states.lazy_values import LazyValue
from flowdeck.threads import active
from flowdeck.values.statics import is_a
from flowdeck.values.unawaited import named, to_be_awaited
from flowdeck_store.events import now_us
from flowdeck_store.states import CODES, DEFAULT_NAMES, FINAL_TYPES, NOT_READY, StateType, bucket
from flowdeck_store.times import at

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

R = TypeVar("R")

_BAD = frozenset({StateType.FAILED, StateType.CRASHED, StateType.CANCELLED})


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
        """Mark this as a state of task run ``no`` (0: the flow run itself) of a flow run, unless it
        is one of another run."""
        if self._info is None:
            self._info = info
            self._no = no

    def copied(self) -> State[R]:
        """Return the same as a state of no run: the time is now."""
        details = None if self._details is None else replace(self._details)
        return State(self.type, self.name, self.message, self.data, details)

    @property
    def belongs_to(self) -> tuple[Any, int]:
        """The ``FlowRunInfo`` (``None``: no run's state) and the number of the task run."""
        return self._info, self._no

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
        """Say whether it is to run at a later time."""
        return self.type is StateType.SCHEDULED

    def is_pending(self) -> bool:
        """Say whether it exists and has not started."""
        return self.type is StateType.PENDING

    def is_running(self) -> bool:
        """Say whether the function is being executed."""
        return self.type is StateType.RUNNING

    def is_completed(self) -> bool:
        """Say whether it ended well."""
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        """Say whether an exception of the user's code ended it."""
        return self.type is StateType.FAILED

    def is_crashed(self) -> bool:
        """Say whether something other than the user's code ended it."""
        return self.type is StateType.CRASHED

    def is_cancelled(self) -> bool:
        """Say whether it ended because somebody asked for it."""
        return self.type is StateType.CANCELLED

    def is_cancelling(self) -> bool:
        """Say whether it was asked to stop and has not stopped yet."""
        return self.type is StateType.CANCELLING

    def is_paused(self) -> bool:
        """Say whether it waits for somebody."""
        return self.type is StateType.PAUSED

    def is_final(self) -> bool:
        """Say whether nothing follows any more."""
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
        return bucket(*self.as_recorded())

    def as_recorded(self) -> tuple[int, str | None]:
        """Return :attr:`code` and :attr:`stored_name`."""
        code, name = CODES[self.type], self.name
        return code, None if name == DEFAULT_NAMES[code] else name

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
        if active.in_async_code():
            return named(self.value_async(raise_on_failure), "state.result")
        return self.value(raise_on_failure)

    def value(self, raise_on_failure: bool = True) -> Any:
        """As :meth:`result`, a plain value in async code too.

        Args:
            raise_on_failure: ``False`` returns the exception of a bad state instead.

        Raises:
            UnfinishedRun: the state is not final.
            PausedRun: the run is paused.
            MissingResult: the value was not kept.
        """
        if self.type is StateType.PAUSED:
            raise PausedRun("Run is paused, its result is not available.")
        if self.type not in FINAL_TYPES:
            raise UnfinishedRun(f"Run is in {self.type.value} state, its result is not available.")
        if self.type in _BAD:
            if raise_on_failure:
                error = exception_of(self)
                _hand_over(error)
                raise error
            found = self._loaded()
            _hand_over(found)
            return found
        value = self._loaded()
        flow_run = None if self._info is None else active.current_flow_run.get()
        if flow_run is not None:
            flow_run.hand_over(self, value, is_kept=value is self.data)
        return value

    def _loaded(self) -> Any:
        data = self.data
        return data.load() if is_a(data, LazyValue) else data

    def value_or_reason(self) -> Any:
        """Return the value of a completed run, the exception that says why it has none of any
        other that has ended. It is for a function that is about to be called: where it came from
        is recorded already, so it is not handed over as the results are that code asks for."""
        if self.type is StateType.COMPLETED:
            return self._loaded()
        if self.type in _BAD:
            return exception_of(self)
        return UnfinishedRun(self.message or "The run did not start.")

    @to_be_awaited
    async def value_async(self, raise_on_failure: bool = True) -> Any:
        """As :meth:`value`; the event loop goes on while a value is fetched from afar."""
        if is_a(self.data, LazyValue) and self.data.is_remote:
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
        from flowdeck.values.previews import safe_repr

        data = "<not loaded>" if is_a(self.data, LazyValue) else safe_repr(self.data)
        return f"{self.name}(message={self.message!r}, type={self.type.value}, result={data})"

    def _repr_html_(self) -> str:
        from flowdeck.values import html
        from flowdeck.values.previews import safe_repr

        data = "not loaded" if is_a(self.data, LazyValue) else safe_repr(self.data)
        rows = [("message", self.message), ("result", data)]
        return html.facts(html.badge(self.name, self.type.value), rows)

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


def _hand_over(found: object) -> None:
    """Note that code of users got an exit or interrupt: what becomes of it is theirs to say."""
    if is_a(found, BaseException) and not is_a(found, Exception):
        found.was_handed_over = True  # type: ignore[attr-defined]


def was_handed_over(found: BaseException) -> bool:
    """Say whether code of users got this exit or interrupt of a task from its result."""
    return getattr(found, "was_handed_over", False) is True


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
    data = state.data.load() if is_a(state.data, LazyValue) else state.data
    if is_a(data, BaseException):
        return data
    if data is None:
        return wrapper(state.message or default)
    if is_a(data, str):
        return wrapper(data)
    children = [data] if is_a(data, State) else data
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
    """Raise the exception of a bad state; do nothing for any other.

    Raises:
        BaseException: see :func:`exception_of`.
    """
    if state.type in _BAD:
        raise exception_of(state)


def is_state(value: object) -> TypeGuard[State[Any]]:
    """Say whether ``value`` is a state."""
    return is_a(value, State)


def is_state_iterable(value: object) -> TypeGuard[Iterable[State[Any]]]:
    """Say whether ``value`` is a non-empty list, tuple or set of states only."""
    return (
        is_a(value, (list, tuple, set)) and bool(value) and all(is_a(item, State) for item in value)
    )
