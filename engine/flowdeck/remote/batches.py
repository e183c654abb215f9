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
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

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
#: Task runs that go together at most, whatever a task asks for.
_MOST: Final = 10_000
#: Seconds after which others are not waited for any longer.
_QUIET: Final = 0.05
#: The last ones of what has gathered, whose bytes are counted: one of them may be big.
_LOOKED_AT: Final = 8


class EngineCall(Protocol):
    """One task run that the engine is to get."""

    @property
    def remote_run(self) -> RemoteRun:
        """Which."""

    @property
    def size(self) -> int:
        """Bytes, about."""


C = TypeVar("C", bound=EngineCall)
T = TypeVar("T", bound=EngineCall)


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


def goes_with_others(run: TaskRun) -> bool:
    """Say whether a task run may go to a worker together with others of its ``.map()``: not if it
    holds slots, which would wait with it, and not when it is tried again."""
    return run.task.map_batch > 1 and run.common is not None and not (run.slots or run.run_count)


class Gathering(Generic[T]):
    """Task runs of a ``.map()`` that are to go to one worker together, see the option ``map_batch``.

    They go when there are as many as may go together, when the ``.map()`` is over, or, of those that
    waited for their inputs, when no other one has become ready for a while.

    Args:
        send: takes what goes together; must not raise.
        soon: calls a function on a thread that may be kept waiting.
    """

    def __init__(
        self, send: Callable[[list[T]], None], soon: Callable[[Callable[[], None]], None]
    ) -> None:
        self._send = send
        self._soon = soon
        self._lock = threading.Lock()
        self._groups: dict[Any, list[T]] = {}
        self._last = 0.0
        self._scheduled = False

    def add(self, key: Any, call: T) -> None:
        """Let a call wait for others.

        Args:
            key: what those have in common that may go together.
            call: of a task run.
        """
        full: list[T] | None = None
        with self._lock:
            group = self._groups.setdefault(key, [])
            group.append(call)
            self._last = clock.monotonic()
            many = len(group) >= min(call.remote_run.run.task.map_batch, _MOST)
            if many or sum(each.size for each in group[-_LOOKED_AT:]) > _BYTES:
                full = self._groups.pop(key)
            ask = full is None and not self._scheduled
            self._scheduled |= ask
        if full is not None:
            self._send(full)
        elif ask:
            loop.call_later(_QUIET, self._soon, self._flush_if_quiet)

    def _flush_if_quiet(self) -> None:
        with self._lock:
            is_quiet = clock.monotonic() - self._last >= _QUIET / 2
            self._scheduled = not is_quiet
        if is_quiet:
            self.flush()
        else:
            loop.call_later(_QUIET, self._soon, self._flush_if_quiet)

    def flush(self) -> None:
        """Hand over what is there."""
        with self._lock:
            groups, self._groups = self._groups, {}
        for group in groups.values():
            self._send(group)

    def remove(self, run: TaskRun) -> RemoteRun | None:
        """Take a run back that waits here."""
        with self._lock:
            for key, group in self._groups.items():
                for call in group:
                    if call.remote_run.run is run:
                        group.remove(call)
                        if not group:
                            del self._groups[key]
                        return call.remote_run
        return None

    def take_back(self) -> list[RemoteRun]:
        """Take back everything that waits here."""
        with self._lock:
            groups, self._groups = self._groups, {}
        return [call.remote_run for group in groups.values() for call in group]
