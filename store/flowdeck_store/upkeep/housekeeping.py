"""Recovering what dead processes left, on a thread beside the recording."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreError
from flowdeck_store.upkeep.liveness import recover

if TYPE_CHECKING:
    from pathlib import Path

#: How long a session that ends waits for a recovery that may be nearly done (seconds).
_MOMENT_S: Final = 0.5


class Housekeeping:
    """One round of :func:`flowdeck_store.upkeep.liveness.recover` when a session opens.

    On its own thread because a large journal takes seconds to replay; the session's own events
    take turns with it at the write lock.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="flowdeck-recovery", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End the thread, after its present batch if it has much to do: what is left is recovered by
        the next session. What is done in a moment is done, else short ones would leave it for ever.
        """
        until = time.monotonic() + timeout
        self._thread.join(min(timeout, _MOMENT_S))
        self._stopping = True
        self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        try:
            recover(self._home, lambda: self._stopping)
        except (StoreError, sqlite3.Error, OSError):
            pass  # the session itself meets the same trouble and warns of it
