"""The write lock: writers of one store take turns by a file lock.

SQLite can let them take turns by itself. Eight processes that wrote without pause showed what is
wrong with that: its busy handler sleeps and tries again, so one process got 1 flush and another
217, and the slowest waited 2.7 s; and as somebody always writes, no checkpoint ever catches up, so
the write-ahead log grew to 677 MB. Trying again after a short random time is fairer, with the same
log. A blocking lock on ``flowdeck.db.lock`` gives 45 to 81 flushes
each, 0.4 s at worst and 6 MB of log, because inside it a checkpoint meets no writer. It costs
10 ms at the 99th percentile. It also closes a window in which SQLite before 3.51.3 can damage a
file: a checkpoint that starts the log anew while somebody commits. The kernel drops the lock of a
process that dies, and can name the one that holds it.

The threads of a process share one :class:`WriteLock` a path, with a thread lock in front: where the
system has record locks only (:mod:`flowdeck_store.file.file_locks`), two descriptors of one process
would not exclude each other.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreBusy
from flowdeck_store.file import file_locks
from flowdeck_store.file.file_id import is_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.002
_known: dict[str, WriteLock] = {}
_known_lock = threading.Lock()


class WriteLock:
    """The write lock of one store in this process. Get it from :func:`write_lock_of`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()
        self._fd = -1

    @contextmanager
    def hold(self, timeout: float | None = None) -> Iterator[None]:
        """Wait for the turn, without end when ``timeout`` (seconds) is ``None``.

        Raises:
            StoreBusy: somebody else held it for longer than ``timeout``.
            OSError: the lock file cannot be opened (no folder, read-only folder).
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            raise StoreBusy(self._who(os.getpid()))
        try:
            self._lock(deadline)
            try:
                yield
            finally:
                if self._fd >= 0:
                    file_locks.unlock(self._fd)
        finally:
            self._turn.release()

    def holder(self) -> int | None:
        """Return the pid of another process that holds the write lock now, if any.

        Slow. :data:`flowdeck_store.file.file_locks.SOMEBODY`: one that cannot be named.
        """
        if self._fd < 0:
            return None
        return file_locks.holder(self._fd)

    def is_taken(self) -> bool:
        """Say whether another thread or process holds it now: quick, and creates nothing."""
        if not self._turn.acquire(blocking=False):
            return True
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        else:
            try:
                return file_locks.is_locked(fd)
            finally:
                os.close(fd)  # may drop record locks of this process: with the turn, it has none
        finally:
            self._turn.release()

    def refresh(self) -> None:
        """Open the lock file anew if it was deleted or replaced (the home was re-created)."""
        with self._turn:
            if self._fd >= 0 and not is_at(self._fd, self.path):
                os.close(self._fd)
                self._fd = -1

    def let_go_of_file(self) -> None:
        """Close the lock file until the next turn: this process has no session there any more.

        Unless somebody has the turn just now. A process goes through any number of homes (each
        test of a suite has its own) and must not keep a descriptor for each.
        """
        if self._turn.acquire(blocking=False):
            try:
                if self._fd >= 0:
                    os.close(self._fd)
                    self._fd = -1
            finally:
                self._turn.release()

    def forget(self) -> None:
        """In a forked child: the lock is its parent's, and the thread lock may be taken for ever."""
        self._turn = threading.Lock()
        if self._fd >= 0:
            os.close(self._fd)  # leaves the parent's lock alone
            self._fd = -1

    def _lock(self, deadline: float | None) -> None:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if deadline is None:
            file_locks.lock(self._fd, wait=True)
            return
        while not file_locks.lock(self._fd):
            if time.monotonic() >= deadline:
                raise StoreBusy(self._who(self.holder()))
            time.sleep(_POLL_S)

    def _who(self, pid: int | None) -> str:
        by = f"process {pid}" if pid else "another process"
        return (
            f"{self.path} is held by {by}. It writes the store for milliseconds at a time; "
            "if it hangs, continue or end it."
        )


def write_lock_of(path: Path) -> WriteLock:
    """Return the one lock of this process for the lock file ``path``."""
    key = os.path.abspath(path)
    with _known_lock:
        lock = _known.get(key)
        if lock is None:
            lock = _known[key] = WriteLock(path)
        return lock


def _after_fork() -> None:
    global _known_lock
    _known_lock = threading.Lock()
    for lock in _known.values():
        lock.forget()


os.register_at_fork(after_in_child=_after_fork)
