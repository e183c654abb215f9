"""A folder for what Dask's workers write while they run, gone with the cluster.

A process that is killed cannot clean up, so the next one does: the lock on a folder, which the
kernel gives back when its holder dies, tells whether anybody still uses it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

try:
    import fcntl
except ImportError:  # not POSIX: nothing is locked, and nothing of others is removed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "flowdeck-dask-"
_LOCK: Final = ".lock"
#: Seconds after which a folder without a lock was not just made by somebody.
_OLD: Final = 3600.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that exists as long as the block; remove what killed processes left."""
    with contextlib.suppress(OSError):
        _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with open(folder / _LOCK, "wb") as lock:
            _try_lock(lock)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
            if folder.stat().st_uid == os.getuid() and _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    try:
        with open(folder / _LOCK, "r+b") as lock:
            return _try_lock(lock)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _OLD


def _try_lock(file: Any) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
