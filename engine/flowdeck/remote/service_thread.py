"""The one thread on which everything happens that concerns the remote task runs of a flow run.

Batches of events, calls from other threads and regular checks all go through one queue to one
thread. So the runs' bookkeeping needs no locks of its own: what ends a run, what records its events
and what notices that its worker is gone never do so at the same time. The price is that nothing on
this thread may wait; whatever moves a value or writes to a disk is called on one of a few helper
threads instead, and comes back by :meth:`ServiceThread.call_soon`.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from flowdeck.logging import get_logger
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Callable

#: Helper threads, which wait for values and disks.
_HELPERS: Final = 4
_CLOSE: Final = object()


class ServiceThread:
    """A thread with a queue.

    Args:
        on_batch: called on the thread with each batch.
        on_tick: called on the thread every ``tick`` seconds.
        name: for the name of the thread.
        tick: seconds.
    """

    def __init__(
        self,
        *,
        on_batch: Callable[[bytes], None],
        on_tick: Callable[[], None],
        name: str,
        tick: float,
    ) -> None:
        self._on_batch = on_batch
        self._on_tick = on_tick
        self._tick = tick
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._helpers: Any = None
        self._thread = threading.Thread(target=self._main, name=f"flowdeck-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Deal with everything that is in the queue, and end the thread.

        Args:
            timeout: seconds to wait for that.

        Returns:
            Whether the thread has ended.
        """
        self._queue.put(_CLOSE)
        self._thread.join(timeout)
        if self._helpers is not None:
            self._helpers.shutdown(wait=False, cancel_futures=True)
        return not self._thread.is_alive()

    def receive(self, batch: bytes) -> None:
        """Put a batch into the queue."""
        self._queue.put(batch)

    def receive_all(self, batches: list[bytes]) -> None:
        """Put many batches into the queue at once: the thread wakes only once."""
        self._queue.put(batches)

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the thread, behind what is in the queue."""
        self._queue.put((function, args))

    def call_on_helper(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on one of a few threads that may be kept waiting."""
        if self._helpers is None:
            from concurrent.futures import ThreadPoolExecutor

            self._helpers = ThreadPoolExecutor(_HELPERS, thread_name_prefix="flowdeck-helper")
        self._helpers.submit(safely, function, args)

    def _main(self) -> None:
        following = clock.monotonic() + self._tick
        while True:
            try:
                found = self._queue.get(timeout=max(following - clock.monotonic(), 0.0))
            except Empty:
                found = None
            if found is _CLOSE:
                return
            if type(found) is bytes:
                safely(self._on_batch, (found,))
            elif type(found) is list:
                for batch in found:
                    safely(self._on_batch, (batch,))
            elif found is not None:
                safely(*found)
            if clock.monotonic() >= following:
                safely(self._on_tick, ())
                following = clock.monotonic() + self._tick


def safely(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call a function; what it raises is logged. Nothing that goes wrong with one run may end the
    thread that serves all."""
    try:
        function(*args)
    except Exception:
        get_logger("transport").exception("An internal error while following task runs")
