"""Process locks: what says that the process of a session lives.

Whoever shows runs has to tell one that goes on from one whose process was killed. A heartbeat lies
both ways: a stopped process or a laptop that slept seems dead, a killed one seems alive until its
time is over. A process number may belong to another process by now, and is unknown in another
container. So each session holds a lock on a file of its own below ``locks`` for as long as it lives.
The kernel drops it within a millisecond of ``kill -9``; a stopped process still holds it; asking
costs a microsecond. Only for sessions of other machines is there no better than the heartbeat.

The lock is also the right to act: who recovers a dead session holds its lock meanwhile, so that one
process does it, and a session that was wrongly taken for dead cannot go on in the middle of it
(:mod:`flowdeck_store.record.fencing`).

A file that is locked may have been deleted by its last owner between opening and locking, and then
protects nothing. So after locking it is looked whether the path still leads to the locked file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreUnwritable
from flowdeck_store.file import file_locks
from flowdeck_store.file.file_id import file_id, is_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SUFFIX = ".lock"
# Locks of this process: with record locks, which do not exclude their own process, opening and
# closing their files here would drop the lock.
_held: dict[str, ProcessLock] = {}


class ProcessLock:
    """This process holds the lock of a session: its own, or a dead one's that it recovers."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._file = file_id(fd)

    def is_kept(self) -> bool:
        """Say whether the file is in its place and locked: one look, several times a second."""
        if file_id(self.path) != self._file:
            return False
        return file_locks.survives_close() or file_locks.lock(self._fd)

    def keep(self) -> bool:
        """Lock the file anew if it was deleted, or if the lock was lost (cheap if neither).

        Returns:
            Whether this process holds the lock; ``False``: somebody recovers the session just now.

        Raises:
            OSError: it cannot be created.
        """
        if self._fd < 0:
            return False
        if not is_at(self._fd, self.path):
            fd = _open_locked(self.path, wait=False)
            if fd < 0:
                return False
            os.close(self._fd)
            self._fd, self._file = fd, file_id(fd)
        return file_locks.lock(self._fd)

    def release(self, *, delete: bool) -> None:
        """Let go of the lock; delete its file when nothing is left to recover."""
        if delete and is_at(self._fd, self.path):
            self.path.unlink(missing_ok=True)  # while still locked: nobody can hold a dead file
        if self._fd >= 0:
            _held.pop(self.path.name, None)
            os.close(self._fd)
            self._fd = -1


def hold(folder: Path, uid: str) -> ProcessLock:
    """Create and lock the lock of a new session.

    Raises:
        StoreUnwritable: the file cannot be created, or the file system knows no locks.
    """
    path = folder / f"{uid}{SUFFIX}"
    try:
        fd = _open_locked(path, wait=True)
    except OSError as error:
        raise StoreUnwritable(folder, error.strerror or str(error)) from error
    lock = _held[path.name] = ProcessLock(path, fd)
    return lock


def seize(folder: Path, uid: str) -> ProcessLock | None:
    """Take the lock of a session if its process is dead; ``None`` when it lives, or is ours."""
    path = folder / f"{uid}{SUFFIX}"
    if path.name in _held:
        return None
    fd = _open_locked(path, wait=False)
    if fd < 0:
        return None
    lock = _held[path.name] = ProcessLock(path, fd)
    return lock


def is_held(folder: Path, uid: str) -> bool:
    """Say whether a living process holds the lock of a session."""
    path = folder / f"{uid}{SUFFIX}"
    if path.name in _held:
        return True
    try:
        # Asking needs no right to write: the folder may be read-only here, and alive elsewhere.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return file_locks.is_locked(fd)
    finally:
        os.close(fd)


def is_held_in(folders: Iterable[Path], uid: str) -> bool:
    """Say whether a living process holds the lock of a session in one of the folders."""
    return any(is_held(folder, uid) for folder in folders)


def uid_of(name: str) -> str | None:
    """Return the session uid in the name of a lock's file, ``None`` for other files."""
    uid = name.removesuffix(SUFFIX)
    return uid if name.endswith(SUFFIX) and len(uid) == 32 else None


def _open_locked(path: Path, *, wait: bool) -> int:
    """Open (create) and lock the file at a path; -1 if somebody else holds it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            taken = file_locks.lock(fd, wait=wait)
            if taken and is_at(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # held, or somebody took the fresh file for a dead one and deleted it
        if not taken:
            return -1


def _after_fork() -> None:
    # The locks are the parent's: closing the copies leaves them alone, keeping them would let the
    # parent seem alive for as long as the child lives.
    for lock in _held.values():
        os.close(lock._fd)
        lock._fd = -1
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)
