"""What belongs to runs, as recorded: states, log lines, failures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck_store.times import at

if TYPE_CHECKING:
    from datetime import datetime

    from flowdeck_store.read.records import FailureRecord, LogRecord, StateRecord
    from flowdeck_store.states import StateType


def time_of(us: int) -> datetime:
    """Return a recorded time, aware UTC."""
    found = at(us)
    assert found is not None
    return found


class RecordedState:
    """One state that a run was in."""

    def __init__(self, record: StateRecord) -> None:
        self._record = record

    @property
    def name(self) -> str:
        """``Completed``, ``AwaitingRetry``..."""
        return self._record.state

    @property
    def type(self) -> StateType:
        """``StateType.COMPLETED``..."""
        return self._record.state_type

    @property
    def message(self) -> str | None:
        """What was said about it."""
        return self._record.message

    @property
    def timestamp(self) -> datetime:
        """When it was entered."""
        return time_of(self._record.us)

    def __repr__(self) -> str:
        return f"RecordedState({self.name!r}, {self.message!r})"


class RecordedLine:
    """One log line."""

    def __init__(self, record: LogRecord) -> None:
        self._record = record

    @property
    def level(self) -> int:
        """The number of the :mod:`logging` level."""
        return self._record.level

    @property
    def logger(self) -> str:
        """The logger's name."""
        return self._record.logger

    @property
    def message(self) -> str:
        """The text."""
        return self._record.message

    @property
    def timestamp(self) -> datetime:
        """When it was logged."""
        return time_of(self._record.us)

    @property
    def task_number(self) -> int:
        """The number of the task run that logged it; 0: the flow."""
        return self._record.task_no

    def as_json(self) -> dict[str, Any]:
        """Return what ``flowdeck logs --json`` prints."""
        from flowdeck_store.read import json_shape

        return json_shape.log(self._record)

    def to_dict(self) -> dict[str, Any]:
        """Return the line as columns."""
        return {
            "time": self.timestamp, "level": self.level, "logger": self.logger,
            "task_run": self.task_number, "message": self.message,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"RecordedLine({self.message!r})"


class RecordedFailure:
    """What is kept of an exception: data, not the exception object."""

    def __init__(self, record: FailureRecord) -> None:
        self._record = record

    @property
    def type(self) -> str:
        """The exception's type by name."""
        return self._record.exc_type

    @property
    def message(self) -> str:
        """Its message, without secrets."""
        return self._record.exc_msg

    @property
    def attempt(self) -> int:
        """In which attempt of the run it was raised, from 1."""
        return self._record.attempt

    @property
    def timestamp(self) -> datetime:
        """When it was raised."""
        return time_of(self._record.us)

    @property
    def frames(self) -> list[dict[str, Any]]:
        """The frames, outermost first, as :mod:`flowdeck_store.failures` documents them: ``file``,
        ``line``, ``func``, source lines, and the ``locals`` as short texts."""
        exception = self._record.exception
        frames = None if exception is None else exception.get("frames")
        return list(frames) if isinstance(frames, list) else []

    def traceback(self, *, variables: bool = False) -> str:
        """Return the traceback as text, causes and groups included.

        Args:
            variables: with the local variables of each frame.
        """
        from flowdeck.failures.text import render

        if self._record.exception is None:
            return f"{self.type}: {self.message}"
        return render(self._record.exception, locals=variables)

    def __repr__(self) -> str:
        return f"RecordedFailure({self.type!r}, {self.message!r})"
