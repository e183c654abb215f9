"""The journal of this process: a chain of segments, written at one end, freed at the other.

Records are numbered from 0 in the order in which they were emitted. The store's ``sessions.applied``
says how many of them it holds; a segment whose records are all applied is used again.

:class:`Journal` is not thread-safe by itself: :mod:`flowdeck_store.intake` calls :meth:`roll` under
its lock, and one writer thread calls the rest.
"""

from __future__ import annotations

import itertools
import marshal
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store import segment as seg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from flowdeck_store.events import Event

SUFFIX: Final = ".jrn"
_SEED_STEP: Final = 0x9E3779B1
_SPARES: Final = 2  # segments kept ready; more are deleted


class Cursor:
    """A place in the journal: the next record to read."""

    __slots__ = ("index", "offset", "segment")

    def __init__(self, segment: seg.Segment, offset: int, index: int) -> None:
        self.segment, self.offset, self.index = segment, offset, index


class Journal:
    """The segments of one session, oldest first.

    Args:
        folder: where the files go.
        uid: the session's uid, the start of every file name.
        info: identity of the process, kept in every header (see :mod:`flowdeck_store.identity`).
        segment_bytes: size of a segment.
        fallback: makes another folder for when files cannot be created in the first.
    """

    def __init__(
        self,
        folder: Path,
        uid: str,
        info: dict[str, Any],
        segment_bytes: int,
        fallback: Callable[[], Path] | None = None,
    ) -> None:
        self.segment_bytes = segment_bytes
        self._folder, self._fallback = folder, fallback
        self.error: OSError | None = None  # why the newest segment is in memory only
        self._uid = uid
        self._info = seg.encode_info(info)
        self._numbers = itertools.count(1)  # atomic: two threads create files
        self._uses = 0
        self._seed = int(uid[:8], 16)
        self._spares: list[seg.Segment] = []
        self._chain: list[seg.Segment] = []

    @property
    def bytes(self) -> int:
        """Size of all segments, those in use and the spare ones."""
        return sum(s.size for s in (*self._chain, *self._spares))

    @property
    def first(self) -> int:
        """Number of the oldest record that is still here."""
        return self._chain[0].first

    @property
    def current(self) -> seg.Segment:
        """The segment that is being written."""
        return self._chain[-1]

    @property
    def in_memory(self) -> bool:
        """Whether a part of the journal would die with the process."""
        return any(s.path is None for s in self._chain)

    @property
    def place(self) -> Path | None:
        """The folder that keeps the newest events; ``None``: a part is in memory only."""
        path = self.current.path
        return None if self.in_memory or path is None else path.parent

    def roll(self, first: int, need: int) -> seg.Segment:
        """Begin a new segment for record number ``first`` with room for ``need`` bytes of records.

        Never raises for a full disk: then the segment is in memory and :attr:`error` says why.
        """
        size = max(self.segment_bytes, seg.HEADER_SIZE + need)
        segment = self._spare(size) or self._make(size)
        self._uses += 1
        segment.begin(first, (self._seed + self._uses * _SEED_STEP) & 0xFFFFFFFF, self._info)
        if self._chain:
            self._chain[-1].count = first - self._chain[-1].first
        self._chain.append(segment)
        return segment

    def prepare(self) -> None:
        """Have a segment ready, so that :meth:`roll` need not create one on a flow's thread."""
        if not self._spares:
            segment = self._make(self.segment_bytes)
            if segment.path is not None:
                self._spares.append(segment)

    def free(self, applied: int) -> None:
        """Take back the segments whose records are all below number ``applied``."""
        while len(self._chain) > 1:
            oldest = self._chain[0]
            if oldest.first + (oldest.count or 0) > applied:
                return
            del self._chain[0]
            if oldest.path and oldest.size == self.segment_bytes and len(self._spares) < _SPARES:
                oldest.retire()
                self._spares.append(oldest)
            else:
                oldest.discard()

    def cursor(self, index: int) -> Cursor:
        """Return the place of record ``index``, which must be here or be the next one."""
        segment = self._segment_of(index)
        cursor = Cursor(segment, seg.HEADER_SIZE, segment.first)
        unpack = seg.RECORD.unpack_from
        while cursor.index < index:
            cursor.offset += seg.RECORD.size + unpack(segment.buf, cursor.offset)[0]
            cursor.index += 1
        return cursor

    def read(self, cursor: Cursor, stop: int, most: int) -> list[Event]:
        """Read up to ``most`` events before number ``stop`` and move the cursor on."""
        events: list[Event] = []
        unpack, loads, size = seg.RECORD.unpack_from, marshal.loads, seg.RECORD.size
        while cursor.index < stop and len(events) < most:
            segment = cursor.segment
            if segment.count is not None and cursor.index == segment.first + segment.count:
                cursor.segment = segment = self._segment_of(cursor.index)
                cursor.offset = seg.HEADER_SIZE
            start = cursor.offset + size
            cursor.offset = start + unpack(segment.buf, cursor.offset)[0]
            events.append(loads(segment.buf[start : cursor.offset]))
            cursor.index += 1
        return events

    def close(self, *, delete: bool) -> None:
        """Let go of all segments; delete their files when everything in them is in the store."""
        for segment in (*self._chain, *self._spares):
            if delete or segment in self._spares:
                segment.discard()
            else:
                segment.detach()
        self._spares.clear()

    def _segment_of(self, index: int) -> seg.Segment:
        """Return the segment that holds record ``index``, or will hold it next.

        Skips segments without records: their beginning was interrupted.
        """
        for segment in self._chain:
            if segment.count is None or index < segment.first + segment.count:
                return segment
        return self.current

    def _spare(self, size: int) -> seg.Segment | None:
        if self._spares and size <= self.segment_bytes:
            return self._spares.pop()
        return None

    def _make(self, size: int) -> seg.Segment:
        name = f"{self._uid}-{next(self._numbers)}{SUFFIX}"
        try:
            segment = seg.create_file(self._folder / name, size)
            self.error = None
            return segment
        except OSError as error:
            self.error = error
        if self._fallback is not None:
            try:
                return seg.create_file(self._fallback() / name, size)
            except OSError:
                pass  # the first error tells the user more
        return seg.create_in_memory(size)


def uid_of(name: str) -> str | None:
    """Return the session uid in the name of a journal file, ``None`` for other files."""
    uid, dash, _ = name.partition("-")
    return uid if dash and name.endswith(SUFFIX) and len(uid) == 32 else None


@dataclass(frozen=True, slots=True)
class Left:
    """A segment that a dead session left."""

    path: Path
    first: int
    info: dict[str, Any]

    def read(self) -> seg.Found | None:
        """Read it whole; ``None`` if it vanished.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return seg.read_file(self.path)
        except FileNotFoundError:
            return None


def find(folders: Iterable[Path], uid: str) -> list[Left]:
    """Find the segments that a dead session left, oldest first.

    Raises:
        OSError: a file cannot be read.
    """
    found = []
    for folder in folders:
        for name in os.listdir(folder) if folder.is_dir() else ():
            if uid_of(name) == uid:
                segment = seg.read_file(folder / name)
                if segment is not None:
                    found.append(Left(segment.path, segment.first, segment.info))
    return sorted(found, key=lambda left: left.first)


def delete(folders: Iterable[Path], uid: str) -> None:
    """Delete the journal files of a session whose records are all in the store."""
    for folder in folders:
        for name in os.listdir(folder) if folder.is_dir() else ():
            if uid_of(name) == uid:
                (folder / name).unlink(missing_ok=True)
