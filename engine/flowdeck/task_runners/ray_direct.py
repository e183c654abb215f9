"""Calls of tasks from a process that is itself part of a Ray cluster."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners import ray_worker
from flowdeck.task_runners.ray_agent import LARGE
from flowdeck.task_runners.ray_watch import Watch
from flowdeck.transport_values import weigh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.runs import TaskRun
    from flowdeck.task_runners.ray_connection import Connection
    from flowdeck.transport_book import Book
    from flowdeck.transport_entry import Entry
    from flowdeck.transport_payload import Payload

#: Seconds for which a thread waits inside Ray without a look around.
_SLICE: Final = 1.0


class DirectCalls:
    """Calls of one flow run.

    Args:
        uid: of the flow run.
        connection: to Ray.
        book: of the flow run.
        on_tails: called with the tails of tasks that have ended.
        on_failure: called with what Ray ended, and why.
    """

    def __init__(
        self,
        uid: str,
        connection: Connection,
        book: Book,
        on_tails: Callable[[list[bytes]], None],
        on_failure: Callable[[Entry, BaseException], None],
    ) -> None:
        self._connection = connection
        self._book = book
        self._on_tails = on_tails
        self._where = ray_worker.address(uid, connection.mailbox.name)
        self._put: dict[int, tuple[bytes, Any]] = {}
        self._watch = Watch(self._ended, on_failure, on_slow=connection.mailbox.open)

    def submit(self, entry: Entry, payload: Payload, options: dict[str, Any]) -> None:
        """Call a task.

        Raises:
            Exception: Ray's, or of what the connection was lost by.
        """
        function = self._connection.function(options)
        call = self._call(payload)
        with self._book.submitting():
            entry.handle, entry.data = function.remote(*call)
        self._watch.add(entry.data, entry)

    def _call(self, payload: Payload) -> tuple[Any, ...]:
        """Return the arguments of the remote function: large code goes to the cluster once."""
        code, head = payload.code, payload.head
        if len(code) < LARGE:
            return ray_worker.packed(self._where, code, head), *payload.inputs
        known = self._put.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            import ray

            known = self._put[id(code)] = code, ray.put(code)
        return ray_worker.packed(self._where, None, head), known[1], *payload.inputs

    def _ended(self, pairs: list[tuple[Entry, bytes]]) -> None:
        self._on_tails([tail for _, tail in pairs])

    def fetch(self, handle: Any) -> Any:
        """Return the reply behind a handle; blocks, not inside Ray for long."""
        import ray

        while True:
            if self._connection.lost is not None:
                raise self._connection.lost
            with contextlib.suppress(ray.exceptions.GetTimeoutError):
                return ray.get(handle, timeout=_SLICE)

    def weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        """Return how many bytes values have as pickles; ``None`` if more than ``limit``, or it is
        not known in time."""
        import ray

        weighing = ray.remote(max_retries=0)(weigh)
        asked = [weighing.remote(handle, limit) for handle in handles]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=max(seconds, 0.01))
        known = set(ready)
        return [_or_none(ref) if ref in known else None for ref in asked]

    def cancel(self, entries: Iterable[Entry], *, force: bool) -> None:
        """Have Ray cancel tasks."""
        import ray

        for entry in entries:
            if entry.data is not None:
                with contextlib.suppress(Exception):  # it has ended, or Ray is gone
                    ray.cancel(entry.data, force=force)

    def letter(self, kind: int, content: Any, about: Any) -> None:
        """Take a letter about a call: none comes here, Ray tells of its calls itself."""

    def remove(self, run: TaskRun) -> Entry | None:
        """Take a run back that Ray has not got: it has all."""
        return None

    def take_back(self) -> list[Entry]:
        """Take everything back that Ray has not got."""
        return []

    def tick(self) -> None:
        """Nothing is done later here."""

    def leave(self) -> None:
        """Nothing is left behind but what runs."""

    def close(self) -> None:
        """Stop following tasks."""
        self._watch.stop()


def _or_none(ref: Any) -> int | None:
    import ray

    try:
        found: int | None = ray.get(ref)
    except Exception:  # the value is lost
        return None
    return found
