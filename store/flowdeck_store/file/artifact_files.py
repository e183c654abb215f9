"""The files of artifacts: pictures, and what is too long for the record itself.

A file is ``artifacts/UID/NAME``: the uid of the flow run (32 hex digits), and 16 hex digits with an
ending that says what it is, so that other programs can open it. All files of a run go with its
folder. Names come from the record, which may be a stranger's: what is not of this form is no name,
and links are not followed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UID: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(r"[0-9a-f]{16}\.(?:png|jpg|gif|webp|bmp|json|md)")


def new_name(ending: str) -> str:
    """Return a name that no file has, such as ``….png``."""
    return f"{os.urandom(8).hex()}.{ending}"


def is_name(name: object) -> bool:
    """Say whether this can be the name of a file."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def write(folder: Path, uid: str, name: str, content: bytes) -> None:
    """Write a file (0600, in folders with 0700).

    Args:
        folder: of all artifacts.
        uid: of the flow run.
        name: from :func:`new_name`.
        content: all of it.

    Raises:
        OSError: it cannot be written.
        ValueError: ``uid`` or ``name`` has another form.
    """
    if not _UID.fullmatch(uid) or not is_name(name):
        raise ValueError(f"{uid}/{name} is no place of an artifact's file.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = folder / uid
    own.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(own / name, flags, 0o600), "wb") as file:
        file.write(content)


def read(folder: Path, uid: str, name: str, most: int) -> bytes | None:
    """Return what a file holds; ``None``: it is gone, no file of an artifact, or longer than ``most``
    bytes."""
    if not _UID.fullmatch(uid) or not is_name(name) or (folder / uid).is_symlink():
        return None
    try:
        descriptor = os.open(folder / uid / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        content = file.read(most + 1)
    return content if len(content) <= most else None


def names(folder: Path, uid: str) -> Iterator[str]:
    """Yield the names of the files of a run."""
    if not _UID.fullmatch(uid) or (folder / uid).is_symlink():
        return
    with contextlib.suppress(OSError):
        yield from sorted(name for name in os.listdir(folder / uid) if is_name(name))


def remove(folder: Path, uid: str) -> tuple[int, int]:
    """Remove all files of a run; return how many there were, and their bytes."""
    if not _UID.fullmatch(uid) or (folder / uid).is_symlink() or not (folder / uid).is_dir():
        return 0, 0
    sizes = []
    for name in names(folder, uid):
        with contextlib.suppress(OSError):
            sizes.append(os.lstat(folder / uid / name).st_size)
    shutil.rmtree(folder / uid, ignore_errors=True)
    return len(sizes), sum(sizes)
