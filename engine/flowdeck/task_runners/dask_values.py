"""What is asked of Dask about the values, or the loss, of tasks that have ended."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import distributed
from distributed.scheduler import KilledWorker as _KilledWorker

from flowdeck.transport_values import weigh

_wait: Final[Any] = distributed.wait
#: Before whatever other tasks are left.
_FIRST: Final = 1000


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


class KilledWorker(_KilledWorker):  # type: ignore[misc,unused-ignore]
    """What Dask says when workers die, in words that fit.

    It counts workers that died; a task that had begun is not given to another one here.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(error.task, error.last_worker, error.allowed_failures)

    def __reduce__(self) -> Any:
        return KilledWorker, (_KilledWorker(self.task, self.last_worker, self.allowed_failures),)

    def __str__(self) -> str:
        where = getattr(self.last_worker, "address", None) or "unknown"
        return (
            f"The worker {where} that executed the task died: it was killed, ran out of memory, or "
            "its process exited."
        )


def why_lost(future: Any) -> str:
    """Return why Dask gave a task up."""
    reason = "Dask cancelled the task, or lost what it needs"
    with contextlib.suppress(Exception):
        exception = future.exception(timeout=1)
        reason = str(exception) or reason
    return f"{reason}."
