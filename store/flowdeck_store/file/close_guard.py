"""Locks beside SQLite's own, on the same bytes, that a close in this process cannot drop.

SQLite's locks are record locks: a flow that copies its own ``flowdeck.db`` drops them when the copy
closes the file. Then another process that ends believes that it is the last one: it deletes the
write-ahead log that we go on writing into (our next commits "succeed" and are gone), or empties the
shared memory that we have mapped. Never opening the file ourselves does not help: it is the user's
code that does. Our writes do not depend on SQLite's locks, as the write lock is around them. What
these two ranges of bytes say does: somebody uses the file. So a session says it a second time, with
open-file-description locks on the very bytes that SQLite looks at.

The descriptors that hold them must not be closed while SQLite has the file open in this process:
that would be just such a close. So they are shared by all sessions of a process and swept up once
no other descriptor of the file is open.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from flowdeck_store.file import file_locks
from flowdeck_store.file.file_id import FileId, file_id

if TYPE_CHECKING:
    from flowdeck_store.file.paths import StorePaths

#: What a connection in write-ahead-log mode has locked for as long as it is open (os_unix.c).
_SHARED_BYTES: Final = (0x40000002, 510)  # of the database: SHARED_FIRST, SHARED_SIZE
_DEAD_MAN_SWITCH: Final = (128, 1)  # of the shared memory: UNIX_SHM_DMS


class _Held:
    """One guarded file."""

    def __init__(self, fd: int, span: tuple[int, int]) -> None:
        self.fd, self.span, self.users = fd, span, 0


_held: dict[FileId, _Held] = {}
_lock = threading.Lock()


class CloseGuard:
    """The shared locks of one session on the files of its store."""

    def __init__(self) -> None:
        self._files: list[FileId] = []

    def hold(self, paths: StorePaths) -> None:
        """Lock the store's files, which SQLite must have open in write-ahead-log mode."""
        if not file_locks.survives_close():
            return
        with _lock:
            _sweep()
            for path, span in (
                (f"{paths.db}", _SHARED_BYTES),
                (f"{paths.db}-shm", _DEAD_MAN_SWITCH),
            ):
                file = _guarded(path, span)
                if file is not None:
                    self._files.append(file)

    def drop(self) -> None:
        """Unlock them; call :func:`sweep` when the connection is closed."""
        files, self._files = self._files, []
        with _lock:
            for file in files:
                held = _held[file]
                held.users -= 1
                if not held.users:
                    file_locks.unlock(held.fd, held.span)


def sweep() -> None:
    """Close the descriptors that nobody uses any more."""
    with _lock:
        _sweep()


def _guarded(path: str, span: tuple[int, int]) -> FileId | None:
    try:
        file = file_id(path)
        if file is None:
            return None
        if file not in _held:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            file = file_id(fd) or file
            _held[file] = _Held(fd, span)
        if not file_locks.lock_shared(_held[file].fd, span):
            return None
    except OSError:
        return None  # gone, or not readable: the session notices by other means
    _held[file].users += 1
    return file


def _sweep() -> None:
    idle = {file for file, held in _held.items() if not held.users}
    if not idle:
        return
    ours = {held.fd for held in _held.values()}
    in_use = _open_files(ours)
    for file in idle - in_use:
        os.close(_held.pop(file).fd)


def _open_files(but: set[int]) -> set[FileId]:
    """Return the files that this process has open otherwise: closing ours would drop their locks."""
    found: set[FileId] = set()
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in but:
            file = file_id(int(name))
            if file is not None:  # the listing's own is closed by now
                found.add(file)
    return found


def _after_fork() -> None:
    # The locks are the parent's, and no connection of a child's own is open yet.
    global _lock
    _lock = threading.Lock()
    for held in _held.values():
        os.close(held.fd)
    _held.clear()


os.register_at_fork(after_in_child=_after_fork)
