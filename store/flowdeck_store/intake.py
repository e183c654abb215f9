"""Where events enter: into the journal, and into a queue for the writer thread.

:meth:`Intake.append` is the hottest code there is (several events a task run), hence its shape:
one lock, no calls but the necessary ones, attributes of the current segment kept here.
"""

from __future__ import annotations

import threading
from collections import deque
from marshal import dumps
from typing import TYPE_CHECKING, Final
from zlib import crc32

from flowdeck_store.events import CACHE, LOG, Event
from flowdeck_store.segment import HEADER_SIZE, RECORD, Buffer
from flowdeck_store.text import bounded_event, plain_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowdeck_store.journal import Cursor, Journal

_LARGE: Final = 32_768  # bytes of a record from which on its texts are checked
_WARNING: Final = 30
_HEAD: Final = RECORD.size
_MARSHAL: Final = 2  # without back references: faster, and events hardly repeat a text
_pack: Final = RECORD.pack_into


class Intake:
    """The events of one process on their way to the writer thread.

    Args:
        journal: where every event goes first.
        wake: called when an event arrives while the writer rests.
        on_cache: called with every CACHE event, so that it can be found before it is stored.
        queue_cap: how many events are kept in memory; beyond, they are read from the journal.
        quota: bytes of journal beyond which log lines below WARNING are dropped and counted.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        wake: Callable[[], None],
        on_cache: Callable[[Event], None],
        queue_cap: int,
        quota: int,
    ) -> None:
        self.emitted = 0
        self.dropped = 0
        self._journal = journal
        self._wake, self._on_cache = wake, on_cache
        self._cap, self._quota = queue_cap, quota
        self._lock = threading.Lock()
        self._queue: deque[Event] = deque()
        self._spill: Cursor | None = None  # set: newer events are in the journal only
        self._taken = 0
        self._awake = False
        self._closed = False
        self._scarce = False
        self._buf: Buffer
        self._seed: int
        self._pos: int
        self._limit: int
        self._enter(0)

    def append(self, event: Event) -> None:
        """Take an event: journal it, queue it, wake the writer. Thread-safe, about a microsecond."""
        if self._scarce and event[0] == LOG and event[4] < _WARNING:
            self.dropped += 1
            return
        try:
            data = dumps(event, _MARSHAL)
        except ValueError:
            event = plain_event(event)
            data = dumps(event, _MARSHAL)
        size = len(data)
        if size > _LARGE:
            event = bounded_event(event)
            data = dumps(event, _MARSHAL)
            size = len(data)
        check = crc32(data)
        if event[0] == CACHE:
            self._on_cache(event)
        with self._lock:
            start = self._pos + _HEAD
            end = start + size
            if end > self._limit:
                if self._closed:
                    return
                self._enter(_HEAD + size)
                start = self._pos + _HEAD
                end = start + size
            buf = self._buf
            buf[start:end] = data
            # The length comes last: until it is there, the record does not exist.
            _pack(buf, start - _HEAD, size, check ^ self._seed)
            self._pos = end
            self.emitted += 1
            if self._spill is None:
                self._queue.append(event)
                if len(self._queue) >= self._cap:
                    self._spill = self._journal.cursor_at(end, self.emitted)
        if not self._awake:
            self._awake = True
            self._wake()

    def append_many(self, events: Sequence[Event]) -> None:
        """Take several events in order."""
        for event in events:
            self.append(event)

    @property
    def waiting(self) -> int:
        """How many events have not been taken yet."""
        return self.emitted - self._taken

    @property
    def half_full(self) -> bool:
        """Whether the current segment should soon have a successor."""
        return self._pos * 2 > self._limit

    def relax(self) -> None:
        """Segments were freed: see whether log lines need still be dropped."""
        self._scarce = self._journal.bytes > self._quota

    def rest(self) -> None:
        """The writer will wait: the next event has to wake it."""
        self._awake = False

    def take(self, most: int) -> list[Event]:
        """Return the next events, at most ``most``; only the writer thread calls this."""
        queue = self._queue
        if queue:
            events = [queue.popleft() for _ in range(min(most, len(queue)))]
        elif self._spill is not None:
            events = self._take_spilled(self._spill, most)
        else:
            events = []
        self._taken += len(events)
        return events

    def renew(self) -> None:
        """Go on in a new segment if the file of the present one was deleted."""
        path = self._journal.current.path
        if path is not None and not path.exists():
            with self._lock:
                if not self._closed:
                    self._enter(0)

    def rewind(self, index: int) -> None:
        """Go on with record number ``index``, which must still be in the journal."""
        with self._lock:
            self._queue.clear()
            self._spill = self._journal.cursor(index)
            self._taken = index

    def close(self) -> None:
        """Take no more events: later ones are ignored."""
        with self._lock:
            self._closed = True
            self._limit = -1

    def abandon(self) -> None:
        """In a forked child: like :meth:`close`, with a lock that another thread may hold."""
        self._lock = threading.Lock()
        self._awake = True
        self.close()

    def _take_spilled(self, cursor: Cursor, most: int) -> list[Event]:
        events = self._journal.read(cursor, self.emitted, most)
        with self._lock:
            if cursor.index == self.emitted:
                self._spill = None
        return events

    def _enter(self, need: int) -> None:
        segment = self._journal.roll(self.emitted, need)
        self._scarce = self._journal.bytes > self._quota
        self._buf, self._seed = segment.buf, segment.seed
        self._pos, self._limit = HEADER_SIZE, segment.size
