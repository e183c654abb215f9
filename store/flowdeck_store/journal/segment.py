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
        """Start a new use.

        Args:
            first: the number that its first record will have.
            seed: mixed into its checksums, another one for every use.
            info: identity of the process, see :func:`encode_info`.
        """
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
        _allocate(fd, size)
        return Segment(mmap.mmap(fd, size), path)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _allocate(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    zeros = bytes(1024 * 1024)  # macOS has no such call: what was written has its place
    for start in range(0, size, len(zeros)):
        left = memoryview(zeros)[: size - start]
        while left:
            left = left[os.write(fd, left) :]


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


#: In place of a number of lost records: how many there were cannot be told from this file alone.
SOME: Final = -1


class SegmentFile:
    """A segment file as another process reads it."""

    __slots__ = ("data", "first", "info", "is_damaged", "path", "seed")

    def __init__(
        self, path: Path, data: bytes, first: int, seed: int, info: dict[str, Any]
    ) -> None:
        self.path, self.data, self.first, self.seed, self.info = path, data, first, seed, info
        self.is_damaged = False  # known when all records were read

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield each record in order, after the number of records lost before it (or SOME).

        A last record that does not check was torn by a kill, or is of an older use of the file:
        the end. One that is followed by others is damage.
        """
        at, lost = HEADER_SIZE, 0
        while at + RECORD.size <= len(self.data):
            end = self._end_of(at)
            if end:
                yield lost, self.data[at + RECORD.size : end]
                at, lost = end, 0
                continue
            at, lost = self._next_after(at)
            if not at:
                return
            self.is_damaged = True

    def _end_of(self, at: int) -> int:
        """Return where the record at a place ends; 0: no record of this use is there."""
        length, check = RECORD.unpack_from(self.data, at)
        end: int = at + RECORD.size + length
        if length == 0 or end > len(self.data):
            return 0
        return end if checksum(self.data[at + RECORD.size : end]) ^ self.seed == check else 0

    def _next_after(self, at: int) -> tuple[int, int]:
        """Find the next record after a place where none is, and how many were lost; 0: none."""
        data, most = self.data, len(self.data) - RECORD.size
        following = at + RECORD.size + RECORD.unpack_from(data, at)[0]
        if at < following < most and self._end_of(following):
            return following, 1  # only what the record said is garbled, not its length
        # An event is a tuple, and begins with this byte. (An empty rest is the usual end.)
        begin = data.find(b"(", at + RECORD.size + 1)
        while begin >= 0:
            place = begin - RECORD.size
            if self._end_of(place):
                return place, SOME
            begin = data.find(b"(", begin + 1)
        return 0, 0


def read_file(path: Path) -> SegmentFile | None:
    """Read a segment file; ``None`` if it was never used, is of an ended use, or is not ours.

    Raises:
        BadSegment: it was used, and its header is garbled.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if not data.strip(b"\0"):
        return None
    if len(data) < HEADER_SIZE:
        raise BadSegment(path)
    magic, check, first, seed, length = _FIXED.unpack_from(data)
    if not magic.strip(b"\0"):
        return None  # all its records are in the store
    if magic != _MAGIC or length > HEADER_SIZE - _FIXED.size:
        raise BadSegment(path)
    if zlib.crc32(data[_CHECKED_FROM : _FIXED.size + length]) != check:
        if not data[HEADER_SIZE:].strip(b"\0"):
            return None  # a kill interrupted its beginning
        raise BadSegment(path)
    info = json.loads(data[_FIXED.size : _FIXED.size + length])
    return SegmentFile(path, data, first, seed, info)


class BadSegment(Exception):
    """A segment's header is garbled."""
