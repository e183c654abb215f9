"""How calls are handed to Dask: those of the same shape in one graph.

A graph costs Dask's client and scheduler about as much as several tasks, and its client holds what
it sends for up to ten milliseconds anyway.
"""

from __future__ import annotations

import contextvars
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from dask.base import annotate

from flowdeck.task_runners._dask import worker
from flowdeck.task_runners._dask.together import BatchItem, Together

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from flowdeck.remote.remote_run import RemoteRun


class DaskCall(NamedTuple):
    """One task run that Dask is to get."""

    remote_run: RemoteRun
    #: Of its Dask task.
    key: str
    #: Of :func:`flowdeck.task_runners._dask.worker.run_task`.
    args: tuple[Any, ...]
    #: In force where the task was submitted.
    annotations: dict[str, Any]
    #: All that are in it, if it is :func:`flowdeck.task_runners._dask.worker.run_tasks`.
    together: tuple[RemoteRun, ...] = ()

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(len(arg) for arg in self.args if type(arg) is bytes)


class Graphs:
    """Hands calls to Dask and notes the futures.

    Args:
        client: of the cluster.
        submitting: a context around handing over and noting the futures.
        on_error: called with what Dask did not take, and why.
    """

    def __init__(
        self,
        client: Any,
        submitting: Callable[[], AbstractContextManager[Any]],
        on_error: Callable[[RemoteRun, Exception], None],
    ) -> None:
        self._client = client
        self._submitting = submitting
        self._on_error = on_error

    def send(self, calls: list[DaskCall]) -> None:
        """Hand calls over, in their order."""
        for _, group in groupby(calls, key=_shape):
            self._send_alike(list(group))

    def _send_alike(self, calls: list[DaskCall]) -> None:
        try:
            with self._submitting():
                # In a context of its own: the thread that happens to be here may be in a block of
                # `dask.annotate` that these calls were not made in.
                futures = contextvars.Context().run(self._map, calls)
                for call, future in zip(calls, futures, strict=True):
                    self._note(call, future)
        except Exception as problem:
            for call in calls:
                for remote_run in call.together or (call.remote_run,):
                    self._on_error(remote_run, problem)

    def _note(self, call: DaskCall, future: Any) -> None:
        if not call.together:
            call.remote_run.handle = future
            return
        together = Together(self._client, future, list(call.together))
        for index, remote_run in enumerate(call.together):
            remote_run.handle = BatchItem(together, index)

    def _map(self, calls: list[DaskCall]) -> list[Any]:
        with annotate(**calls[0].annotations):
            futures: list[Any] = self._client.map(
                worker.run_tasks if calls[0].together else worker.run_task,
                *zip(*(call.args for call in calls), strict=True),
                key=[call.key for call in calls],
                pure=False,
                # Else tasks that are submitted within the same moment run in reverse order.
                fifo_timeout="0ms",
            )
            return futures


def _shape(call: DaskCall) -> tuple[bool, int, dict[str, Any]]:
    """Return what must be equal for calls to go together."""
    return bool(call.together), len(call.args), call.annotations


def retries_in(annotations: dict[str, Any]) -> int | None:
    """Return what `dask.annotate(retries=...)` asks for: Dask's own retries do not see failures of
    tasks here, so the task's are raised."""
    wanted = annotations.get("retries")
    return int(wanted) if isinstance(wanted, int) and wanted > 0 else None
