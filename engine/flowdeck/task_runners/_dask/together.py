"""Task runs of a ``.map()`` that are one Dask task, see the option ``map_batch``.

Their values are one value of Dask's. Small ones come home with their events, as always; for one that
stays on the cluster and is needed somewhere there is a Dask task more, which takes it out.
"""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck.task_runners._dask import worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun


class Together:
    """One Dask task, and who is in it."""

    def __init__(self, client: Any, future: Any, remote_runs: list[RemoteRun]) -> None:
        self.client = client
        self.future = future
        self.remote_runs = remote_runs


class BatchItem:
    """In the place of a Dask future: of one of the values."""

    __slots__ = ("_future", "_index", "_lock", "together")

    def __init__(self, together: Together, index: int) -> None:
        self.together = together
        self._index = index
        self._lock = threading.Lock()
        self._future: Any = None

    @property
    def key(self) -> str:
        """Of the Dask task."""
        return str(self.together.future.key)

    @property
    def status(self) -> str:
        """Of the Dask task."""
        return str(self.together.future.status)

    def exception(self, timeout: float) -> Any:
        """Return what the Dask task was lost by."""
        return self.together.future.exception(timeout=timeout)

    def future(self) -> Any:
        """Return a future of the value alone."""
        with self._lock:
            if self._future is None:
                self._future = contextvars.Context().run(self._submit)
            return self._future

    def _submit(self) -> Any:
        together = self.together
        return together.client.submit(worker.item_of, together.future, self._index, pure=False)

    def result(self) -> Any:
        """Move the value here."""
        return self.future().result()


@dataclass(frozen=True, slots=True)
class GatheredCall:
    """A task run that waits for others to go with."""

    remote_run: RemoteRun
    payload: Payload
    annotations: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.payload.head)


def futures(handles: Iterable[Any]) -> list[Any]:
    """Return what Dask takes for handles of values."""
    return [each.future() if type(each) is BatchItem else each for each in handles]


def unwanted(dropped: list[RemoteRun], is_open: Mapping[int, RemoteRun]) -> list[Any]:
    """Return the futures that nobody needs of runs that were dropped: not of a Dask task that others
    are in, or were."""
    found = [each.handle for each in dropped if type(each.handle) is not BatchItem]
    shared = {
        id(each.handle.together): each.handle.together
        for each in dropped
        if type(each.handle) is BatchItem
    }
    for together in shared.values():
        others = together.remote_runs
        if not any(each.started or is_open.get(each.run.no) is each for each in others):
            found.append(together.future)
    return found
