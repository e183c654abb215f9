"""How the app asks the store: in lanes, each one thread with its own connection.

Nothing on the event loop touches SQLite. Work of one lane is done one after the other, so its
reader needs no lock; lanes do not wait for each other, so a slow search never delays the rows
that are being scrolled.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

#: The lane of the visible rows, of headers and figures, and of what may take long.
ROWS, FACTS, SLOW = "rows", "facts", "slow"


class _Lane:
    """One thread and the reader that it opens at its first question."""

    def __init__(
        self,
        name: str,
        home: Path,
        open_reader: Callable[[Path], Reader],
        before: Callable[[Reader], object] | None,
    ) -> None:
        self._home, self._open, self._before = home, open_reader, before
        self._reader: Reader | None = None
        self.closed = False
        self.pool = ThreadPoolExecutor(1, thread_name_prefix=f"flowdeck-{name}")

    def call(self, work: Callable[[Reader], T]) -> T:
        """Call ``work`` with the reader; runs on the lane's thread."""
        if self.closed:
            raise RuntimeError("the store access is closed")
        if self._reader is None:
            self._reader = self._open(self._home)
        if self._before is not None:
            self._before(self._reader)
        return work(self._reader)

    def interrupt(self) -> None:
        """Stop the statement that runs now; its caller gets ``ReadInterrupted``."""
        if self._reader is not None:
            self._reader.interrupt()

    def forget(self) -> None:
        """Close the reader; runs on the lane's thread."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class StoreAccess:
    """The lanes of one home folder. Call :meth:`close` at the end.

    Args:
        home: flowdeck's home folder; the store in it may not exist yet.
        open_reader: opens the reader of a lane.
        before: what is done with it before each question.
    """

    def __init__(
        self,
        home: Path,
        open_reader: Callable[[Path], Reader] = Reader.open,
        before: Callable[[Reader], object] | None = None,
    ) -> None:
        self.home = home
        self._open, self._before = open_reader, before
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._closed = False

    def _lane(self, name: str) -> _Lane:
        with self._lock:
            if self._closed:
                raise RuntimeError("the store access is closed")
            lane = self._lanes.get(name)
            if lane is None:
                lane = self._lanes[name] = _Lane(name, self.home, self._open, self._before)
            return lane

    async def ask(self, work: Callable[[Reader], T], lane: str = FACTS) -> T:
        """Call ``work(reader)`` on a lane's thread and return its value.

        Raises:
            StoreCorrupt, StoreTooNew, NotFound…: whatever the reader raises.
        """
        chosen = self._lane(lane)
        return await asyncio.get_running_loop().run_in_executor(chosen.pool, chosen.call, work)

    def ask_now(self, work: Callable[[Reader], T], lane: str = FACTS) -> T:
        """Like :meth:`ask`, for callers on a thread of their own (it blocks)."""
        chosen = self._lane(lane)
        return chosen.pool.submit(chosen.call, work).result()

    def interrupt(self, lane: str) -> None:
        """Stop what a lane is doing now (a search whose answer nobody waits for)."""
        with self._lock:
            found = self._lanes.get(lane)
        if found is not None:
            found.interrupt()

    def close(self) -> None:
        """Interrupt what runs, close all connections and end the threads."""
        with self._lock:
            self._closed = True
            lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.closed = True
            lane.interrupt()
            lane.pool.submit(lane.forget)
            lane.pool.shutdown(wait=True)
