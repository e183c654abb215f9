"""Where the journal goes when the home folder cannot be written: below the temporary folder.

The place follows from the home's path, so that the next process that uses the same home finds it.
"""

from __future__ import annotations

import os
import stat
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowdeck_store.file.paths import StorePaths


def folder_of(paths: StorePaths) -> Path:
    """Return the folder that stands in for the home's journal and locks; it need not exist."""
    name = blake2b(os.fsencode(paths.home.absolute()), digest_size=8).hexdigest()
    # Not tempfile.gettempdir(): importing it costs 10 ms of every command.
    return Path(os.environ.get("TMPDIR") or "/tmp") / f"flowdeck-{os.geteuid()}" / name


def make(paths: StorePaths) -> Path:
    """Create that folder, private to the user.

    Raises:
        OSError: it cannot be created, or somebody else owns it (others could plant journals).
    """
    folder = folder_of(paths)
    for part in (folder.parent, folder):
        part.mkdir(mode=0o700, exist_ok=True)
        if not _is_private(part):
            raise PermissionError(f"{part} is not a private folder of this user")
    return folder


def folders(paths: StorePaths, usual: Path) -> list[Path]:
    """Return the folders to look in for journals or process locks: the usual one, and the stand-in."""
    stand_in = folder_of(paths)
    if _is_private(stand_in.parent) and _is_private(stand_in):
        return [usual, stand_in]
    return [usual]


def _is_private(folder: Path) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    )
