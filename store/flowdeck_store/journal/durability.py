"""What survives a power loss: the system keeps written files in memory for a while.

That a process is killed loses nothing in any case. With ``power``, what was written is forced to the
disk at a bounded interval as well: the write-ahead log, and the journal while the store cannot be
written. A segment of the journal is only used again when what it held is on the disk.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.file.paths import StorePaths
    from flowdeck_store.journal.chain import Journal

#: Survives the end of the process.
PROCESS: Final = "process"
#: Survives the end of the machine's power, but for the last :data:`INTERVAL_S`.
POWER: Final = "power"
LEVELS: Final = (PROCESS, POWER)
#: Seconds between syncs while something happens.
INTERVAL_S: Final = 1.0


class Syncs:
    """Forces what one session writes to the disk, from time to time.

    Args:
        paths: of the store.
        journal: of the session.
        level: one of :data:`LEVELS`; with :data:`PROCESS` nothing is ever done.
        interval: seconds between syncs.
    """

    def __init__(self, paths: StorePaths, journal: Journal, level: str, interval: float) -> None:
        if level not in LEVELS:
            raise ValueError(f"durability is one of {', '.join(LEVELS)}, not {level!r}.")
        self.is_on = level == POWER
        self._paths, self._journal, self._interval = paths, journal, interval
        self._next = 0.0
        self._known: set[Path] = set()  # files whose names are on the disk

    @property
    def is_due(self) -> bool:
        """Say whether it is time; asking starts the next interval."""
        if not self.is_on:
            return False
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._interval
        return True

    def sync_store(self) -> None:
        """Force what was committed to the disk.

        Raises:
            OSError: the disk refuses.
        """
        sync_log(self._paths)

    def sync_journal(self) -> None:
        """Force what was emitted to the disk, while it cannot be committed.

        Raises:
            OSError: the disk refuses.
        """
        files = self._journal.files()
        for path in files:
            sync_file(path)
        for folder in {path.parent for path in files if path not in self._known}:
            sync_folder(folder)
        self._known = set(files)


def sync_log(paths: StorePaths) -> None:
    """Force the write-ahead log to the disk, and that it is there.

    Opening it beside SQLite is safe: SQLite holds no locks on this one of its files.

    Raises:
        OSError: the disk refuses.
    """
    if sync_file(f"{paths.db}-wal"):
        sync_folder(paths.home)


def sync_file(path: Path | str) -> bool:
    """Force a file to the disk, also what was written through a map of it; say if there is one.

    Raises:
        OSError: the disk refuses.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        _force(fd)
    finally:
        os.close(fd)
    return True


def _force(fd: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(fd)
        return
    try:
        fcntl.fcntl(fd, full)  # macOS: fsync alone ends in the disk's own memory, which loses it
    except OSError:
        os.fsync(fd)  # a file system without it


def sync_folder(path: Path) -> None:
    """Force a folder's list of names to the disk.

    Raises:
        OSError: the disk refuses.
    """
    sync_file(path)
