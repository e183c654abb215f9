"""Calls of tasks from a process that is itself part of a Ray cluster."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from flowdeck.remote.values import weigh
from flowdeck.task_runners._ray import worker
from flowdeck.task_runners._ray.agent import LARGE
from flowdeck.task_runners._ray.completions import Completions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.remote.parts import Part
    from flowdeck.remote.payload import Payload
    from flowdeck.remote.remote_run import RemoteRun
    from flowdeck.remote.remote_runs import RemoteRuns
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._ray.connection import Connection

#: Seconds for which a thread waits inside Ray without a look around.
_SLICE: Final = 1.0


class DirectCalls:
    """Calls of one flow run: a :class:`~flowdeck.task_runners._ray.calls.TaskCalls`.

    Args:
        uid: of the flow run.
        connection: to Ray.
        runs: those of the flow run that Ray has.
        on_tails: called with the tails of tasks that have ended.
        on_failure: called with what Ray ended, and why.
    """

    def __init__(
        self,
        uid: str,
        connection: Connection,
        runs: RemoteRuns,
        on_tails: Callable[[list[bytes]], None],
        on_failure: Callable[[RemoteRun, BaseException], None],
    ) -> None:
        self._connection = connection
        self._runs = runs
        self._on_tails = on_tails
        self._where = worker.address(uid, connection.channel.name)
        self._put: dict[int, tuple[bytes, Any]] = {}
        self._completions = Completions(self._ended, on_failure, on_slow=connection.channel.open)

    def submit(self, remote_run: RemoteRun, payload: Payload, options: dict[str, Any]) -> None:
        """See :meth:`TaskCalls.submit`: now."""
        function = self._connection.function(options)
        call = self._call(payload)
        with self._runs.submitting():
            remote_run.handle, remote_run.data = function.remote(*call)
        self._completions.follow(remote_run.data, remote_run)

    def _call(self, payload: Payload) -> tuple[Any, ...]:
        """Return the arguments of the remote function: large code goes to the cluster once."""
        code, head = payload.code, payload.head
        if len(code) < LARGE:
            return worker.packed(self._where, code, head), *payload.inputs
        known = self._put.get(id(code))
        if known is None:  # the bytes are kept: their id must not be given to others
            import ray

            known = self._put[id(code)] = code, ray.put(code)
        return worker.packed(self._where, None, head), known[1], *payload.inputs

    def put_part(self, part: Part) -> Any:
        """Put a value on the cluster that calls can have as an input."""
        import ray

        return ray.put(part)

    def _ended(self, pairs: list[tuple[RemoteRun, bytes]]) -> None:
        self._on_tails([tail for _, tail in pairs])

    def fetch(self, handle: Any) -> Any:
        """Return the reply behind a handle; blocks, not inside Ray for long.

        Raises:
            ConnectionError: Ray is gone.
            Exception: Ray's; the value is lost.
        """
        import ray

        while True:
            if self._connection.lost is not None:
                raise self._connection.lost
            with contextlib.suppress(ray.exceptions.GetTimeoutError):
                return ray.get(handle, timeout=_SLICE)

    def weigh(self, handles: list[Any], limit: int, seconds: float) -> list[int | None]:
        """See :meth:`TaskCalls.weigh`."""
        import ray

        weighing = ray.remote(max_retries=0)(weigh)
        asked = [weighing.remote(handle, limit) for handle in handles]
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=max(seconds, 0.01))
        known = set(ready)
        return [_or_none(ref) if ref in known else None for ref in asked]

    def cancel(self, remote_runs: Iterable[RemoteRun], *, force: bool) -> None:
        """Have Ray cancel tasks."""
        import ray

        for remote_run in remote_runs:
            if remote_run.data is not None:
                with contextlib.suppress(Exception):  # it has ended, or Ray is gone
                    ray.cancel(remote_run.data, force=force)

    def receive(self, kind: int, content: Any, about: Any) -> None:
        """See :meth:`TaskCalls.receive`: none comes, Ray tells of its calls itself."""

    def remove(self, run: TaskRun) -> RemoteRun | None:
        """Take a run back that Ray has not got: it has all."""
        return None

    def take_back(self) -> list[RemoteRun]:
        """Take everything back that Ray has not got."""
        return []

    def tick(self) -> None:
        """Nothing is done later here."""

    def leave(self) -> None:
        """Nothing is left behind but what runs."""

    def close(self) -> None:
        """Stop following tasks."""
        self._completions.stop()


def _or_none(ref: Any) -> int | None:
    import ray

    try:
        found: int | None = ray.get(ref)
    except Exception:  # the value is lost
        return None
    return found
