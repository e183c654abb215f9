"""The gate: writers of one store take turns by a file lock.

SQLite's own busy handler is unfair and lets the write-ahead log grow without bound under steady
writers; a record lock on ``flowdeck.db.lock`` is fair, and inside it a checkpoint meets no writer.

POSIX record locks belong to the process: two file descriptors of one process would not exclude
each other, and closing either would drop the lock of both. So there is one :class:`Gate` a path
and process, with a thread lock in front, and its descriptor is never closed while it is in use.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.002
_gates: dict[str, Gate] = {}
_gates_lock = threading.Lock()


class Gate:
    """The write lock of one store in this process. Get it from :func:`gate_of`."""

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
                    fcntl.lockf(self._fd, fcntl.LOCK_UN)
        finally:
            self._turn.release()

    def holder(self) -> int | None:
        """Return the pid of another process that holds the gate now, if any."""
        if self._fd < 0:
            return None
        return lock_holder(self._fd)

    def refresh(self) -> None:
        """Open the lock file anew if it was deleted or replaced (the home was re-created)."""
        with self._turn:
            if self._fd >= 0 and not self._same_file():
                os.close(self._fd)
                self._fd = -1

    def forget(self) -> None:
        """In a forked child: locks are not inherited and the thread lock may be taken for ever."""
        self._turn = threading.Lock()
        if self._fd >= 0:
            os.close(self._fd)  # cannot drop the parent's lock: locks belong to the process
            self._fd = -1

    def _same_file(self) -> bool:
        try:
            there, ours = os.stat(self.path), os.fstat(self._fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _lock(self, deadline: float | None) -> None:
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if deadline is None:
            fcntl.lockf(self._fd, fcntl.LOCK_EX)
            return
        while not try_lock(self._fd):
            if time.monotonic() >= deadline:
                raise StoreBusy(self._who(self.holder()))
            time.sleep(_POLL_S)

    def _who(self, pid: int | None) -> str:
        by = "another process" if pid is None else f"process {pid}"
        return (
            f"{self.path} is held by {by}. It writes the store for milliseconds at a time; "
            "if it hangs, continue or end it."
        )


def gate_of(path: Path) -> Gate:
    """Return the one gate of this process for the lock file ``path``."""
    key = os.path.abspath(path)
    with _gates_lock:
        gate = _gates.get(key)
        if gate is None:
            gate = _gates[key] = Gate(path)
        return gate


def try_lock(fd: int) -> bool:
    """Take an exclusive record lock on an open file if it is free; say whether it was."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EAGAIN}:
            return False
        raise
    return True


def lock_holder(fd: int) -> int | None:
    """Return the pid of the other process that holds a record lock on an open file, if any."""
    asked = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack("hhqqi", fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


def _after_fork() -> None:
    global _gates_lock
    _gates_lock = threading.Lock()
    for gate in _gates.values():
        gate.forget()


os.register_at_fork(after_in_child=_after_fork)
