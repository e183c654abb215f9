"""Waking a thread from anywhere."""

from __future__ import annotations

import threading


class Signal:
    """Wakes one waiting thread.

    Unlike :class:`threading.Event` it is set by one atomic call, so that a signal handler may set
    it while the code that it interrupts is setting it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the waiting thread, or the next one that waits, go on."""
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it was set already

    def wait(self, timeout: float) -> None:
        """Wait until it is set, and reset it; or for ``timeout`` seconds."""
        self._lock.acquire(timeout=max(0.0, timeout))
