"""How the last events of an execution leave a Dask worker: with Dask's own message of its end.

By itself each is a message: to write, to read and to wake up for, on both sides, which costs about as
much as a small task. A worker's stream to the scheduler sends at once what is put on it after a pause, so
it must not be put there before there is something to say with it. Dask tells plugins of a worker when it
moves a task on, just before it tells the scheduler: so they travel together, the events first.
"""

from __future__ import annotations

from typing import Any, Final

from distributed.diagnostics.plugin import WorkerPlugin

_NAME: Final = "flowdeck-tails"


class Tails(WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Those of one worker. Is told of transitions on the worker's loop.

    Args:
        worker: Dask's.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._held: dict[Any, tuple[str, bytes]] = {}

    def teardown(self, worker: Any) -> None:
        """Send what is there: the worker ends."""
        while self._held:
            worker.log_event(*self._held.popitem()[1])

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Send the tail of a task whose function has returned, whatever comes of it now."""
        held = self._held.pop(key, None)
        if held is not None:
            self._worker.log_event(*held)

    def hold(self, topic: str, tail: bytes) -> None:
        """Take the tail of what this thread executes and is about to return from. If its Dask task
        has left one before, because it executes several runs, that one is sent."""
        key = self._worker.get_current_task()
        before = self._held.pop(key, None)
        if before is not None:
            self._worker.log_event(*before)
        self._held[key] = topic, tail


def tails_of(worker: Any) -> Tails | None:
    """Return a worker's; ``None`` if it has none yet, but soon. Safe to call on any thread."""
    found: Tails | None = worker.plugins.get(_NAME)
    if found is None:
        worker.loop.add_callback(_add, worker)
    return found


async def _add(worker: Any) -> None:
    if _NAME not in worker.plugins:
        await worker.plugin_add(Tails(worker), _NAME)
