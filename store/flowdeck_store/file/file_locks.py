"""Locks on files that no ``close`` can drop.

POSIX record locks belong to the process: closing *any* descriptor of the file drops them, and a
flow that copies, packs or hashes its own ``FLOWDECK_HOME`` does just that. Such a flow was taken for
dead while it ran. Open-file-description locks belong to what one ``open`` returned. They
and record locks exclude each other, so an older flowdeck beside this one is kept out and keeps us
out; ``flock`` would not.

Where the system has none (macOS, some sandboxes), record locks are what there is: a session then
looks five times a second whether it still holds its own (:mod:`flowdeck_store.record.fencing`).

A forked child shares its parent's locks: it must close its copies of the descriptors (that leaves
the parent's locks alone), and must never unlock them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
from pathlib import Path
from typing import Final

#: ``struct flock`` by system: its layout for :mod:`struct`, and where each of type, whence, start,
#: length and pid stands in it. Linux; macOS; FreeBSD, which has a ``sysid`` behind.
_LINUX: Final = ("hhqqi", (0, 1, 2, 3, 4))
_DARWIN: Final = ("qqihh", (3, 4, 0, 1, 2))
_FREEBSD: Final = ("qqihhi", (3, 4, 0, 1, 2))
_BUSY: Final = frozenset({errno.EACCES, errno.EAGAIN})
_HAS_OFD: Final = hasattr(fcntl, "F_OFD_SETLK")
_UNKNOWN_COMMAND: Final = errno.EINVAL
#: From where on and how many bytes; 0 bytes: to the end of the file, however long it gets.
WHOLE: Final = (0, 0)
#: Returned by :func:`holder` for somebody who cannot be named.
SOMEBODY: Final = 0

_works = _HAS_OFD  # until the kernel says that it does not know the command


def layout_on(platform: str) -> tuple[str, tuple[int, ...]]:
    """Return the layout of ``struct flock`` on a system (``sys.platform``)."""
    if platform == "darwin":
        return _DARWIN
    return _FREEBSD if platform.startswith("freebsd") else _LINUX


def packed(kind: int, span: tuple[int, int], platform: str = sys.platform) -> bytes:
    """Return a ``struct flock`` that asks for a lock of a kind on a span."""
    layout, places = layout_on(platform)
    fields = [0] * len(layout)
    for place, value in zip(places, (kind, os.SEEK_SET, *span, 0), strict=True):
        fields[place] = value
    return struct.pack(layout, *fields)


def unpacked(answer: bytes, platform: str = sys.platform) -> tuple[int, int]:
    """Return kind and pid of a ``struct flock``."""
    layout, places = layout_on(platform)
    fields = struct.unpack(layout, answer)
    return fields[places[0]], fields[places[4]]


def survives_close() -> bool:
    """Say whether locks of this system stay when another descriptor of the file is closed."""
    return _works


def lock(fd: int, *, wait: bool = False) -> bool:
    """Lock a file exclusively; say whether it was free (with ``wait``: it will be).

    Raises:
        OSError: the file system knows no locks, or the descriptor is not open for writing.
    """
    return _set(fd, fcntl.F_WRLCK, WHOLE, wait=wait)


def lock_shared(fd: int, span: tuple[int, int]) -> bool:
    """Lock a span of a file against those who want it exclusively; say whether that worked."""
    return _set(fd, fcntl.F_RDLCK, span, wait=False)


def unlock(fd: int, span: tuple[int, int] = WHOLE) -> None:
    """Unlock a file, or a span of it."""
    _set(fd, fcntl.F_UNLCK, span, wait=False)


def is_locked(fd: int) -> bool:
    """Say whether somebody else holds a lock on a file."""
    return _conflict(fd) is not None


def holder(fd: int) -> int | None:
    """Return the process that holds a lock on a file; slow, for messages.

    Returns:
        Its pid, :data:`SOMEBODY` if it cannot be named, ``None`` if the file is free.
    """
    pid = _conflict(fd)
    if pid is None or pid > 0:
        return pid
    return _find_holder(os.fstat(fd))


def _set(fd: int, kind: int, span: tuple[int, int], *, wait: bool) -> bool:
    global _works
    asked = packed(kind, span)
    try:
        if _works:
            try:
                fcntl.fcntl(fd, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, asked)
                return True
            except OSError as error:
                if error.errno != _UNKNOWN_COMMAND:
                    raise
                _works = False
        fcntl.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, asked)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


def _conflict(fd: int) -> int | None:
    """Return the pid of somebody else who holds a lock, -1 if it belongs to no process."""
    asked = packed(fcntl.F_WRLCK, WHOLE)
    command = fcntl.F_OFD_GETLK if _works else fcntl.F_GETLK
    kind, pid = unpacked(fcntl.fcntl(fd, command, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _find_holder(file: os.stat_result) -> int:
    """Look through the open files of all processes that may be looked at."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            for descriptor in (process / "fd").iterdir():
                if _holds(process, descriptor, file):
                    return int(process.name)
        except OSError:
            continue  # another user's, or it ended just now
    return SOMEBODY


def _holds(process: Path, descriptor: Path, file: os.stat_result) -> bool:
    try:
        there = descriptor.stat()
        if (there.st_dev, there.st_ino) != (file.st_dev, file.st_ino):
            return False
        return b"\nlock:" in (process / "fdinfo" / descriptor.name).read_bytes()
    except OSError:
        return False
