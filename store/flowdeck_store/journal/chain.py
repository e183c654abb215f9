"""The journal of this process: a chain of segments, written at one end, freed at the other.

Why there is one: an event must survive ``kill -9`` from the moment it is emitted, and a flow must
never wait for SQLite, which may be locked, full, slow or gone. So every event goes into a file that
is mapped into memory first. What stands there is in the kernel's page cache and outlives the
process; no system call is made, and the interpreter lock is kept. An event costs about a
microsecond, of which half is this.

What else was measured: JSON and one ``os.write`` an event cost four times as much and let go of the
interpreter lock, which a busy flow takes milliseconds to give back. Spooling only once the store
fails is cheaper still, but loses what a kill finds in memory. Sparse files would be quicker to
make, but writing to a hole of a map on a full disk ends the process with SIGBUS; segments are
therefore allocated in full, before they are needed, and used again.

Records are numbered from 0 in the order in which they were emitted. The store's ``sessions.applied``
says how many of them it holds, and grows in the transaction that adds them. That one number is what
makes everything else simple: after any failure recording goes on with record ``applied``, recovery
replays from there, nothing is applied twice, and a gap can be told from an end. A segment whose
records are all applied is used again.

:class:`Journal` is not thread-safe by itself: :mod:`flowdeck_store.record.intake` calls
:meth:`Journal.roll` under its lock, and one writer thread calls the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import marshal
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.journal.segment import (
    HEADER_SIZE,
    RECORD,
    BadSegment,
    Segment,
    create_file,
    create_in_memory,
    encode_info,
    read_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from flowdeck_store.events import Event

SUFFIX: Final = ".jrn"
#: What the name of a segment ends with that was put aside because it is damaged.
DAMAGED: Final = ".damaged"
_SEED_STEP: Final = 0x9E3779B1
_SPARES: Final = 2  # segments kept ready; more are deleted


class JournalCursor:
    """A place in the journal: the next record to read."""

    __slots__ = ("index", "offset", "segment")

    def __init__(self, segment: Segment, offset: int, index: int) -> None:
        self.segment, self.offset, self.index = segment, offset, index


class Journal:
    """The segments of one session, oldest first.

    Args:
        folder: where the files go.
        uid: the session's uid, the start of every file name.
        info: identity of the process, kept in every header (see :mod:`flowdeck_store.file.identity`).
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
        self._info = encode_info(info)
        self._numbers = itertools.count(1)  # atomic: two threads create files
        self._uses = 0
        self._seed = int(uid[:8], 16)
        self._spares: list[Segment] = []
        self._chain: list[Segment] = []

    @property
    def bytes(self) -> int:
        """Size of all segments, those in use and the spare ones."""
        return sum(s.size for s in (*self._chain, *self._spares))

    @property
    def first(self) -> int:
        """Number of the oldest record that is still here."""
        return self._chain[0].first

    @property
    def current(self) -> Segment:
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

    def files(self) -> list[Path]:
        """Return the files of the segments in use, oldest first."""
        return [s.path for s in tuple(self._chain) if s.path is not None]

    def roll(self, first: int, need: int) -> Segment:
        """Begin a new segment for record number ``first`` with room for ``need`` bytes of records.

        Never raises for a full disk: then the segment is in memory and :attr:`error` says why.
        """
        size = max(self.segment_bytes, HEADER_SIZE + need)
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

    def cursor(self, index: int) -> JournalCursor:
        """Return the place of record ``index``, which must be here or be the next one."""
        segment = self._segment_of(index)
        cursor = JournalCursor(segment, HEADER_SIZE, segment.first)
        unpack = RECORD.unpack_from
        while cursor.index < index:
            cursor.offset += RECORD.size + unpack(segment.buf, cursor.offset)[0]
            cursor.index += 1
        return cursor

    def read(self, cursor: JournalCursor, stop: int, most: int) -> list[Event]:
        """Return the next events, and move the cursor on.

        Args:
            cursor: where to begin; only records that were written completely may follow.
            stop: the number of the first record that is not to be read.
            most: how many to return at most.
        """
        events: list[Event] = []
        unpack, loads, size = RECORD.unpack_from, marshal.loads, RECORD.size
        while cursor.index < stop and len(events) < most:
            segment = cursor.segment
            if segment.count is not None and cursor.index == segment.first + segment.count:
                cursor.segment = segment = self._segment_of(cursor.index)
                cursor.offset = HEADER_SIZE
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

    def _segment_of(self, index: int) -> Segment:
        """Return the segment that holds record ``index``, or will hold it next.

        Skips segments without records: their beginning was interrupted.
        """
        for segment in self._chain:
            if segment.count is None or index < segment.first + segment.count:
                return segment
        return self.current

    def _spare(self, size: int) -> Segment | None:
        if self._spares and size <= self.segment_bytes:
            return self._spares.pop()
        return None

    def _make(self, size: int) -> Segment:
        name = f"{self._uid}-{next(self._numbers)}{SUFFIX}"
        try:
            segment = create_file(self._folder / name, size)
            self.error = None
            return segment
        except OSError as error:
            self.error = error
        if self._fallback is not None:
            try:
                return create_file(self._fallback() / name, size)
            except OSError:
                pass  # the first error tells the user more
        return create_in_memory(size)


def uid_of(name: str) -> str | None:
    """Return the session uid in the name of a journal file, ``None`` for other files."""
    uid, dash, _ = name.partition("-")
    return uid if dash and name.endswith(SUFFIX) and len(uid) == 32 else None


@dataclass(slots=True)
class LeftSegment:
    """A segment that a dead session left."""

    path: Path
    first: int
    info: dict[str, Any]
    is_readable: bool = True
    is_damaged: bool = False  # whether all of it can be read is known when it was

    def read(self) -> list[tuple[int, bytes]]:
        """Return its records, each with the number of records lost before it (or SOME).

        Raises:
            OSError: it cannot be read.
        """
        try:
            found = read_file(self.path)
        except FileNotFoundError:
            return []  # it vanished
        records = list(found.records()) if found else []
        self.is_damaged = found is not None and found.is_damaged
        return records


def find_left(folders: Iterable[Path], uid: str) -> list[LeftSegment]:
    """Find the segments that a dead session left: those that can be read, oldest first.

    Raises:
        OSError: a file cannot be read.
    """
    found, garbled = [], []
    for path in _files(folders, uid):
        try:
            segment = read_file(path)
        except BadSegment:
            garbled.append(LeftSegment(path, 0, {}, is_readable=False, is_damaged=True))
        else:
            if segment is not None:
                found.append(LeftSegment(segment.path, segment.first, segment.info))
    return sorted(found, key=lambda left: left.first) + garbled


def delete_left(folders: Iterable[Path], uid: str, keep: Iterable[Path] = ()) -> None:
    """Delete the journal files of a session whose records are all in the store.

    Args:
        folders: where they are.
        uid: of the session.
        keep: damaged ones, which are kept under another name for whoever can read more of them.
    """
    for path in keep:
        with contextlib.suppress(FileNotFoundError):
            path.rename(path.with_name(path.name + DAMAGED))
    for path in _files(folders, uid):
        path.unlink(missing_ok=True)


def _files(folders: Iterable[Path], uid: str) -> list[Path]:
    return [
        folder / name
        for folder in folders
        for name in (os.listdir(folder) if folder.is_dir() else ())
        if uid_of(name) == uid
    ]
