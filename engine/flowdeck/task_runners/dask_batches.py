"""Task runs on their way to Dask, many in one graph.

A graph costs Dask's client and scheduler about as much as several tasks, and its client holds what
it sends for up to ten milliseconds anyway. So the first call after a pause goes at once, and those
of the next moment go together.
"""

from __future__ import annotations

import contextvars
import threading
import time
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dask.base import annotate

from flowdeck import loop
from flowdeck.task_runners import dask_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flowdeck.runs import TaskRun
    from flowdeck.transport_entry import Entry

#: Seconds between two graphs while tasks are submitted.
_MOMENT: Final = 0.008
#: Bytes in one graph; Dask warns of ten million.
_BYTES: Final = 4 * 1024 * 1024


class Call(NamedTuple):
    """One task run that Dask is to get."""

    entry: Entry
    #: Of its Dask task.
    key: str
    #: Of :func:`flowdeck.task_runners.dask_worker.run_task`.
    args: tuple[Any, ...]
    #: In force where the task was submitted.
    annotations: dict[str, Any]


class Batches:
    """Hands calls to Dask, in their order.

    Args:
        client: of the cluster.
        submitting: a context around handing over and noting the futures.
        on_error: called with what Dask did not take, and why.
        soon: calls a function on a thread that may be kept waiting.
    """

    def __init__(
        self,
        client: Any,
        submitting: Callable[[], AbstractContextManager[Any]],
        on_error: Callable[[Entry, Exception], None],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._client = client
        self._submitting = submitting
        self._on_error = on_error
        self._soon = soon
        self._lock = threading.Lock()  # of the fields below
        self._calls: list[Call] = []
        self._size = 0
        self._last = 0.0
        self._scheduled = False
        self._flushing = threading.RLock()

    def add(self, call: Call) -> None:
        """Hand a call over, now or within a moment."""
        with self._lock:
            self._calls.append(call)
            self._size += sum(len(arg) for arg in call.args if type(arg) is bytes)
            due = self._size > _BYTES or time.monotonic() - self._last > _MOMENT
            ask = not due and not self._scheduled
            self._scheduled |= ask
        if due:
            self.flush()
        elif ask:
            loop.call_later(_MOMENT, self._soon, self.flush)

    def flush(self) -> None:
        """Hand over what is there; afterwards its futures are known."""
        with self._flushing:
            with self._lock:
                calls, self._calls = self._calls, []
                self._size = 0
                self._scheduled = False
                self._last = time.monotonic()
            for _, group in groupby(calls, key=_shape):
                self._send(list(group))

    def _send(self, calls: list[Call]) -> None:
        try:
            with self._submitting():
                # In a context of its own: the thread that happens to be here may be in a block of
                # `dask.annotate` that these calls were not made in.
                futures = contextvars.Context().run(self._map, calls)
                for call, future in zip(calls, futures, strict=True):
                    call.entry.handle = future
        except Exception as problem:
            for call in calls:
                self._on_error(call.entry, problem)

    def _map(self, calls: list[Call]) -> list[Any]:
        with annotate(**calls[0].annotations):
            futures: list[Any] = self._client.map(
                dask_worker.run_task,
                *zip(*(call.args for call in calls), strict=True),
                key=[call.key for call in calls],
                pure=False,
                # Else tasks that are submitted within the same moment run in reverse order.
                fifo_timeout="0ms",
            )
            return futures

    def remove(self, run: TaskRun) -> Entry | None:
        """Take a run back that Dask has not got, and return its entry."""
        with self._lock:
            for index, call in enumerate(self._calls):
                if call.entry.run is run:
                    return self._calls.pop(index).entry
        return None

    def take_back(self) -> list[Entry]:
        """Take everything back that Dask has not got."""
        with self._lock:
            calls, self._calls = self._calls, []
        return [call.entry for call in calls]


def _shape(call: Call) -> tuple[int, dict[str, Any]]:
    """Return what must be equal for calls to go together."""
    return len(call.args), call.annotations
