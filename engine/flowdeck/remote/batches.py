"""Task runs on their way to an engine, many in one message.

A message to Dask or to a Ray client server costs about as much as several tasks: with a graph for each
task Dask took 135 to 210 µs of the flow's thread, and a call through ``ray://`` is a round trip of 7 ms.
So the first call after a pause goes at once, and those of the following moment go together. Nobody
waits for it: a flow that submits one task sees no delay, one that maps over thousands sends hundreds in
a message. A run that is still here can be taken back, which costs nothing; one that was sent must be
cancelled there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from flowdeck.threads import loop
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.runs.task_run import TaskRun

#: Seconds between two messages while tasks are submitted.
_MOMENT: Final = 0.008
#: Bytes in one message; Dask and Ray warn of ten million.
_BYTES: Final = 4 * 1024 * 1024


class EngineCall(Protocol):
    """One task run that the engine is to get."""

    @property
    def remote_run(self) -> RemoteRun:
        """Which."""

    @property
    def size(self) -> int:
        """Bytes, about."""


C = TypeVar("C", bound=EngineCall)


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
            due = self._size > _BYTES or clock.monotonic() - self._last > _MOMENT
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
                self._last = clock.monotonic()
            if calls:
                self._send(calls)

    def remove(self, run: TaskRun) -> RemoteRun | None:
        """Take a run back that the engine has not got; ``None`` if the engine has it."""
        with self._lock:
            for index, call in enumerate(self._calls):
                if call.remote_run.run is run:
                    return self._calls.pop(index).remote_run
        return None

    def take_back(self) -> list[RemoteRun]:
        """Take back everything that the engine has not got."""
        with self._lock:
            calls, self._calls = self._calls, []
        return [call.remote_run for call in calls]
