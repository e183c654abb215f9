"""What tells a file from every other: its path may lead to another one by now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

FileId: TypeAlias = tuple[int, int]  # device and inode


def file_id(where: Path | str | int) -> FileId | None:
    """Return what identifies the file at a path or behind a descriptor, ``None`` if none is there."""
    try:
        found = os.stat(where)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_at(fd: int, path: Path) -> bool:
    """Say whether a path leads to the file behind a descriptor."""
    here = file_id(fd)
    return here is not None and here == file_id(path)
