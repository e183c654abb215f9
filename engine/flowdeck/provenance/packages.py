"""The installed packages with their versions."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What a package's folder of metadata is called: ``numpy-2.0.1.dist-info``.
_NAME: Final = re.compile(r"([A-Za-z0-9][\w.]*)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
_STRAY: Final = re.compile(r"([A-Za-z0-9][\w.]*)\.egg-info")


def installed(path: Sequence[str] | None = None) -> dict[str, str]:
    """Return the version of each package by its normalised name, as the folders of ``sys.path`` say it.

    The first folder that has a package wins, as for an import.
    """
    found: dict[str, str] = {}
    for folder in sys.path if path is None else path:
        for name, version in _in_folder(folder or os.curdir):
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return dict(sorted(found.items()))


def as_text(packages: dict[str, str]) -> str:
    """Return them as lines ``name==version``."""
    return "\n".join(f"{name}=={version}" for name, version in packages.items())


def id_of(text: str) -> str:
    """Return 16 hex digits that stand for the set."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def state_of_path() -> tuple[object, ...]:
    """Return what is another value when a package may have been installed or removed."""
    return tuple((folder, _changed(folder or os.curdir)) for folder in sys.path)


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _in_folder(folder: str) -> Iterator[tuple[str, str]]:
    try:
        names = os.listdir(folder)
    except OSError:  # a zip file, or nothing
        return
    for name in names:
        if not name.endswith("-info"):
            continue
        match = _NAME.fullmatch(name)
        if match:
            yield match[1], match[2]
        elif match := _STRAY.fullmatch(name):  # of a package under development
            version = _told_version(os.path.join(folder, name))
            if version:
                yield match[1], version


def _told_version(folder: str) -> str | None:
    try:
        with open(os.path.join(folder, "PKG-INFO"), encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("Version:"):
                    return line.partition(":")[2].strip()
                if not line.strip():
                    break
    except OSError:
        pass
    return None
