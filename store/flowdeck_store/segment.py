"""One journal segment: a preallocated file, mapped into memory, of checksummed records.

Layout: a header of 4096 bytes (magic, checksum, number of the first record, seed, and as JSON the
identity of the process), then records ``length | checksum | marshal``. What is written to the map
is safe from ``kill -9`` at once: it is in the kernel's page cache. A record torn by the kill fails
its checksum and ends the segment.

A segment is used again when all its records are in the store. Its old records stay behind the new
ones; every use has another ``seed`` in its checksums, so that they are never taken for new ones.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Bytes before the first record.
HEADER_SIZE: Final = 4096
#: Length and checksum in front of every record.
RECORD: Final = struct.Struct("<II")
#: The checksum of a record, before the segment's seed is mixed in. It has to tell a record that a
#: kill tore from a whole one, and it is computed for every event: CRC-32 costs three times as much.
checksum: Final = zlib.adler32
_MAGIC: Final = b"FLDWJRN1"
_FIXED: Final = struct.Struct("<8sIQII")  # magic, checksum of the rest, first, seed, info length
_CHECKED_FROM: Final = 12  # the checksum covers what follows it

Buffer: TypeAlias = "mmap.mmap | bytearray"


class Segment:
    """A segment that this process writes: in a file, or in plain memory when no file can be had."""

    __slots__ = ("buf", "count", "first", "path", "seed", "size")

    def __init__(self, buf: Buffer, path: Path | None) -> None:
        self.buf = buf
        self.path = path
        self.size = len(buf)
        self.first = 0
        self.seed = 0
        self.count: int | None = None  # how many records; None while it is still written

    def begin(self, first: int, seed: int, info: bytes) -> None:
        """Start a new use: its first record will be number ``first``."""
        fixed = _FIXED.pack(_MAGIC, 0, first, seed, len(info))
        check = zlib.crc32(fixed[_CHECKED_FROM:] + info)
        # A kill between these lines leaves a header that does not check: an unused segment, and
        # all records of its former use are in the store.
        self.buf[: _FIXED.size] = _FIXED.pack(_MAGIC, check, first, seed, len(info))
        self.buf[_FIXED.size : _FIXED.size + len(info)] = info
        self.first, self.seed, self.count = first, seed, None

    def retire(self) -> None:
        """All records are in the store: make sure that nobody replays them."""
        self.buf[: len(_MAGIC)] = bytes(len(_MAGIC))

    def discard(self) -> None:
        """Let go of the memory and delete the file."""
        if isinstance(self.buf, mmap.mmap):
            self.buf.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def detach(self) -> None:
        """Let go of the memory but leave the file for whoever replays it."""
        if isinstance(self.buf, mmap.mmap):
            self.buf.close()


def create_file(path: Path, size: int) -> Segment:
    """Create and map a segment file of ``size`` bytes, private to the user.

    Raises:
        OSError: no space, or the folder cannot be written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Not a sparse file: on a full disk, writing to a hole of a map would kill us (SIGBUS).
        os.posix_fallocate(fd, 0, size)
        return Segment(mmap.mmap(fd, size), path)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def create_in_memory(size: int) -> Segment:
    """Create a segment that lives only as long as the process."""
    return Segment(bytearray(size), None)


def encode_info(info: dict[str, Any]) -> bytes:
    """Return the identity as the header keeps it."""
    data = json.dumps(info).encode()
    if len(data) > HEADER_SIZE - _FIXED.size:
        raise ValueError(
            f"The identity of a session takes {len(data)} bytes, too many for a header."
        )
    return data


class Found:
    """A segment file as another process reads it."""

    __slots__ = ("data", "first", "info", "path", "seed")

    def __init__(
        self, path: Path, data: bytes, first: int, seed: int, info: dict[str, Any]
    ) -> None:
        self.path, self.data, self.first, self.seed, self.info = path, data, first, seed, info

    def records(self) -> Iterator[bytes]:
        """Yield the records in order; stop at the first one that is torn or of an older use."""
        at, end = HEADER_SIZE, len(self.data)
        while at + RECORD.size <= end:
            length, check = RECORD.unpack_from(self.data, at)
            at += RECORD.size
            if length == 0 or at + length > end:
                return
            record = self.data[at : at + length]
            if checksum(record) ^ self.seed != check:
                return
            yield record
            at += length


def read_file(path: Path) -> Found | None:
    """Read a segment file; ``None`` if it was never used or is not ours.

    Raises:
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if len(data) < HEADER_SIZE:
        return None
    magic, check, first, seed, length = _FIXED.unpack_from(data)
    if magic != _MAGIC or length > HEADER_SIZE - _FIXED.size:
        return None
    if zlib.crc32(data[_CHECKED_FROM : _FIXED.size + length]) != check:
        return None
    info = json.loads(data[_FIXED.size : _FIXED.size + length])
    return Found(path, data, first, seed, info)
