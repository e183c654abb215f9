"""Writing a file that is there whole or not at all, and private to the user."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flowdeck_store.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def new_file(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give an empty file (0600) beside ``path`` to write; it gets its name on leaving.

    Args:
        path: the name in the end.
        replace: whether a file of that name may be replaced.

    Raises:
        BadFile: there is one already, or the folder is not there or cannot be written.
    """
    if not path.name:
        raise BadFile(f"{str(path)!r} is a folder: name a file in it.")
    part = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        _refuse(path, replace)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            yield part
            _sync(part)
            _publish(part, path, replace)
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError as error:
        raise BadFile(f"{path} exists already, or {error.filename}: remove it.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadFile(f"{path} cannot be written: {reason}. Choose another place.") from error


def _refuse(path: Path, replace: bool) -> None:
    if path.is_dir():
        raise BadFile(f"{path} is a folder: name a file in it.")
    if path.exists() and not replace:
        raise BadFile(f"{path} exists already: choose another name or remove it.")
    if not path.absolute().parent.is_dir():
        raise BadFile(f"There is no folder {path.absolute().parent}: make it first.")


def _sync(part: Path) -> None:
    fd = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _publish(part: Path, path: Path, replace: bool) -> None:
    """Give the finished file its name, without replacing another unless that is wanted."""
    if replace:
        os.replace(part, path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here (FAT, some network folders)
        if path.exists():
            raise FileExistsError(errno.EEXIST, "exists", str(path)) from None
        os.rename(part, path)
