"""Task runs on their way to an engine, many in one message.

A message costs about as much as several tasks. So the first call after a pause goes at once, and
those of the next moment go together.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from flowdeck import loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.runs import TaskRun
    from flowdeck.transport_entry import Entry

#: Seconds between two messages while tasks are submitted.
_MOMENT: Final = 0.008
#: Bytes in one message; Dask and Ray warn of ten million.
_BYTES: Final = 4 * 1024 * 1024


class Call(Protocol):
    """One task run that the engine is to get."""

    @property
    def entry(self) -> Entry: ...

    @property
    def size(self) -> int:
        """Bytes, about."""


C = TypeVar("C", bound=Call)


class Batches(Generic[C]):
    """Hands calls to an engine, in their order.

    Args:
        send: hands over; must not raise. Called by one thread at a time.
        soon: calls a function on a thread that may be kept waiting.
    """

    def __init__(
        self, send: Callable[[list[C]], None], soon: Callable[[Callable[[], None]], None]
    ) -> None:
        self._send = send
        self._soon = soon
        self._lock = threading.Lock()  # of the fields below
        self._calls: list[C] = []
        self._size = 0
        self._last = 0.0
        self._scheduled = False
        self._flushing = threading.RLock()

    def add(self, call: C) -> None:
        """Hand a call over, now or within a moment."""
        with self._lock:
            self._calls.append(call)
            self._size += call.size
            due = self._size > _BYTES or time.monotonic() - self._last > _MOMENT
            ask = not due and not self._scheduled
            self._scheduled |= ask
        if due:
            self.flush()
        elif ask:
            loop.call_later(_MOMENT, self._soon, self.flush)

    def flush(self) -> None:
        """Hand over what is there."""
        with self._flushing:
            with self._lock:
                calls, self._calls = self._calls, []
                self._size = 0
                self._scheduled = False
                self._last = time.monotonic()
            if calls:
                self._send(calls)

    def remove(self, run: TaskRun) -> Entry | None:
        """Take a run back that the engine has not got, and return its entry."""
        with self._lock:
            for index, call in enumerate(self._calls):
                if call.entry.run is run:
                    return self._calls.pop(index).entry
        return None

    def take_back(self) -> list[Entry]:
        """Take everything back that the engine has not got."""
        with self._lock:
            calls, self._calls = self._calls, []
        return [call.entry for call in calls]
