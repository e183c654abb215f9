"""The files of kept results: what they are called, and how they begin.

A file is ``results/AB/...30 hex digits``, and ``results/imported/AB/...`` where an archive brought it.
It starts with one line, ``flowdeck-result 1 SERIALIZER CRC32 [INPUTS]``; the rest is what the
serializer made. Where a file came from is in its place and not in itself, so that nothing inside an
archive can say that it is one of ours.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_IMPORTED: Final = "imported/"
#: What a location looks like: 256 folders, so that none gets too many files.
_LOCATION: Final = re.compile(rf"(?:{_IMPORTED})?[0-9a-f]{{2}}/[0-9a-f]{{30}}")
_HEADER: Final = re.compile(
    rb"flowdeck-result 1 ([a-z0-9][a-z0-9._/-]{0,39}) ([0-9a-f]{8})(?: ([0-9a-f]{32}))?\n"
)
#: Bytes that the first line has at most.
HEADER_BYTES: Final = 120


class DamagedValue(ValueError):
    """The file is not what was written."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a file: serializer, checksum of the rest, what it was computed from, and
    the number of bytes of this line."""

    serializer: str
    checksum: int
    inputs: str | None
    length: int


def is_location(text: str) -> bool:
    """Say whether this can be the location of a kept result."""
    return _LOCATION.fullmatch(text) is not None


def is_imported(location: str) -> bool:
    """Say whether an archive brought the file, so that strangers may have made it."""
    return location.startswith(_IMPORTED)


def new_location(*, imported: bool = False) -> str:
    """Return a location that no file has."""
    name = os.urandom(16).hex()
    return f"{_IMPORTED if imported else ''}{name[:2]}/{name[2:]}"


def header_line(serializer: str, data: bytes | memoryview, inputs: str | None) -> bytes:
    """Return the first line of the file for these bytes."""
    mark = f" {inputs}" if inputs else ""
    return f"flowdeck-result 1 {serializer} {zlib.crc32(data):08x}{mark}\n".encode()


def header_of(content: bytes) -> Header | None:
    """Return what the first line says; ``None``: it is none."""
    found = _HEADER.match(content)
    if found is None:
        return None
    inputs = None if found[3] is None else found[3].decode()
    return Header(found[1].decode(), int(found[2], 16), inputs, found.end())


def checked(content: bytes) -> tuple[Header, bytes]:
    """Return the first line of a file, and the rest.

    Raises:
        DamagedValue: it was not written to its end, or was changed.
    """
    header = header_of(content)
    data = content[header.length :] if header is not None else b""
    if header is None or zlib.crc32(data) != header.checksum:
        raise DamagedValue("it was not written to its end, or was changed")
    return header, data


def path_of(folder: Path, location: str) -> Path | None:
    """Return where a value lies below the folder of results; ``None``: the location is none, or a
    link leads out of the folder. Locations come from the record, which may be a stranger's."""
    path = folder / location
    return path if is_location(location) and not _leaves(path, folder) else None


def _leaves(path: Path, folder: Path) -> bool:
    real, root = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, root]) != root


def write(folder: Path, location: str, *parts: bytes | memoryview) -> None:
    """Write a file (0600, in folders with 0700): whole, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / location
    # Under another name first: a reader sees all of the file or none.
    unfinished = path.with_suffix(".tmp")
    try:
        descriptor = _create(unfinished)
    except FileNotFoundError:
        _make_folders(folder, path.parent)
        descriptor = _create(unfinished)
    try:
        with open(descriptor, "wb") as file:
            for part in parts:  # noqa: FURB122 - one by one: a big one is no reason to join them
                file.write(part)
        unfinished.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _make_folders(folder: Path, shard: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shard.parent != folder:
        shard.parent.mkdir(mode=0o700, exist_ok=True)
    shard.mkdir(mode=0o700, exist_ok=True)
