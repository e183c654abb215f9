"""Liveness marks: a file lock that the kernel holds for a process and drops when it dies.

A heartbeat can lie and a process number can be reused; a record lock cannot: it is gone within a
millisecond of ``kill -9``, and a stopped process still holds it.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreUnwritable
from flowdeck_store.gate import lock_holder, try_lock

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".lock"
# Marks of this process. Their files must not be opened again here: closing a second descriptor
# would drop the lock.
_held: dict[str, Mark] = {}


class Mark:
    """This process holds the mark of a session: its own, or a dead one's that it recovers."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    def renew(self) -> None:
        """Create and lock the file again if it was deleted.

        Raises:
            OSError: it cannot be created.
        """
        if self._fd >= 0 and not _is_at(self._fd, self.path):
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            os.close(self._fd)
            self._fd = fd

    def release(self, *, delete: bool) -> None:
        """Let go of the mark; delete its file when nothing is left to recover."""
        if delete:
            self.path.unlink(missing_ok=True)  # while still locked: nobody can hold a dead file
        if self._fd >= 0:
            _held.pop(self.path.name, None)
            os.close(self._fd)
            self._fd = -1


def hold(folder: Path, uid: str) -> Mark:
    """Create and lock the mark of a new session.

    Raises:
        StoreUnwritable: the file cannot be created, or the file system knows no locks.
    """
    path = folder / f"{uid}{SUFFIX}"
    try:
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            if _is_at(fd, path):
                break
            os.close(fd)  # somebody took the fresh file for a dead one and deleted it
    except OSError as error:
        raise StoreUnwritable(folder, error.strerror or str(error)) from error
    mark = _held[path.name] = Mark(path, fd)
    return mark


def seize(folder: Path, uid: str) -> Mark | None:
    """Take the mark of a session if its process is dead; ``None`` when it lives, or is ours."""
    path = folder / f"{uid}{SUFFIX}"
    if path.name in _held:
        return None
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not try_lock(fd) or not _is_at(fd, path):
        os.close(fd)
        return None
    mark = _held[path.name] = Mark(path, fd)
    return mark


def is_held(folder: Path, uid: str) -> bool:
    """Say whether a living process holds the mark of a session."""
    path = folder / f"{uid}{SUFFIX}"
    if path.name in _held:
        return True
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return lock_holder(fd) is not None
    finally:
        os.close(fd)


def uid_of(name: str) -> str | None:
    """Return the session uid in the name of a mark's file, ``None`` for other files."""
    uid = name.removesuffix(SUFFIX)
    return uid if name.endswith(SUFFIX) and len(uid) == 32 else None


def _is_at(fd: int, path: Path) -> bool:
    try:
        there, here = os.stat(path), os.fstat(fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _after_fork() -> None:
    _held.clear()  # locks are not inherited


os.register_at_fork(after_in_child=_after_fork)
