"""What is asked of Dask about the values, or the loss, of tasks that have ended."""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING, Any, Final

import dask
import distributed
from distributed.scheduler import KilledWorker as _KilledWorker

from flowdeck.remote.values import weigh
from flowdeck.task_runners._dask import worker

if TYPE_CHECKING:
    from flowdeck.remote.parts import Part

_wait: Final[Any] = distributed.wait
#: Before whatever other tasks are left.
_FIRST: Final = 1000
#: Bytes of a value that goes to a worker by way of the scheduler, which keeps it.
MOST_BY_TASK: Final = 64 * 1024 * 1024


def weights(client: Any, futures: list[Any], limit: int, seconds: float) -> list[int | None]:
    """Return how many bytes values have as pickles, found out by the workers that hold them.

    Args:
        client: of the cluster.
        futures: of the values.
        limit: more is as good as unknown.
        seconds: that this may take.
    """
    limits = [limit] * len(futures)
    asked = client.map(weigh, futures, limits, pure=False, priority=_FIRST)
    with contextlib.suppress(TimeoutError), client.as_current():
        _wait(asked, timeout=max(seconds, 0.01))
    return [each.result() if each.status == "finished" else None for each in asked]


def put_part(client: Any, part: Part) -> Any:
    """Have a value on the cluster; return its future.

    As the result of a task: who makes it is found out by Dask, and if that worker dies Dask makes it
    again elsewhere. What is scattered is gone then, and with it all tasks that wait to use it.
    """
    # A copy: Dask may send it later than now. In a context of its own: what is annotated around
    # the task that needs it does not concern this one.
    copy = part.copy()
    return contextvars.Context().run(_submit_part, client, copy)


def _submit_part(client: Any, part: Part) -> Any:
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": MOST_BY_TASK * 2}):
        return client.submit(worker.hold, part, pure=False, priority=_FIRST)


class KilledWorker(_KilledWorker):  # type: ignore[misc,unused-ignore]
    """What Dask says when workers die, in words that fit.

    It counts workers that died; a task that had begun is not given to another one here.

    Args:
        error: Dask's own.
        said: what is known of the worker's memory, see :mod:`flowdeck_store.kills`.
    """

    def __init__(self, error: Any, said: str = "") -> None:
        super().__init__(error.task, error.last_worker, error.allowed_failures)
        self.said = said

    def __reduce__(self) -> Any:
        plain = _KilledWorker(self.task, self.last_worker, self.allowed_failures)
        return KilledWorker, (plain, self.said)

    def __str__(self) -> str:
        where = getattr(self.last_worker, "address", None) or "unknown"
        died = f"The worker {where} that executed the task died"
        if "ut of memory" in self.said:
            return f"{died}.{self.said}"
        return f"{died}: it was killed, ran out of memory, or its process exited.{self.said}"


def why_lost(future: Any) -> str:
    """Return why Dask gave a task up."""
    reason = "Dask cancelled the task, or lost what it needs"
    with contextlib.suppress(Exception):
        exception = future.exception(timeout=1)
        reason = str(exception) or reason
    return f"{reason}."
