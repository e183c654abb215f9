"""Where events enter: into the journal, and into a queue for the writer thread.

:meth:`Intake.append` is the hottest code there is (several events a task run), hence its shape:
one lock, no calls but the necessary ones, attributes of the current segment kept here.

It may be interrupted by itself: a signal handler or a finaliser that logs calls it again on the
same thread, and one that raises ends it, at any call or allocation inside it. So the lock is
reentrant, and from the check for room to the queue there is neither, until the event is complete.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from marshal import dumps
from typing import TYPE_CHECKING, Final

from flowdeck_store.events import CACHE, KIND, LOG, LOG_LEVEL, Event
from flowdeck_store.journal.segment import HEADER_SIZE, RECORD, Buffer, Segment, checksum
from flowdeck_store.text import bounded_event, plain_event

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowdeck_store.journal.chain import Journal

_LARGE: Final = 32_768  # bytes of a record from which on its texts are checked
_WARNING: Final = 30
_MARSHAL: Final = 2  # without back references: faster, and events hardly repeat a text
_pack: Final = RECORD.pack


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
        self._lock = threading.RLock()
        self._queue: deque[Event] = deque()
        self._taken = 0
        self._awake = False
        self._closed = False
        self._scarce = False
        self._rolling = False
        self._deferred: list[Event] = []  # emitted by an interruption of :meth:`_roll`
        self._segment: Segment
        self._buf: Buffer
        self._seed = self._pos = self._limit = 0
        self._roll(0)
        # Where to read on when newer events are in the journal only.
        self._spilling = False
        self._cursor = journal.cursor(0)

    def append(self, event: Event) -> None:
        """Take an event: journal it, queue it, wake the writer. Thread-safe, about a microsecond."""
        if self._scarce and event[KIND] == LOG and event[LOG_LEVEL] < _WARNING:
            self.dropped += 1
            return
        try:
            data = dumps(event, _MARSHAL)
        except ValueError:
            event = plain_event(event)
            data = dumps(event, _MARSHAL)
        if len(data) > _LARGE:
            event = bounded_event(event)
            data = dumps(event, _MARSHAL)
        if event[KIND] == CACHE:
            self._on_cache(event)
        check = checksum(data)
        seed = self._seed
        record = _pack(len(data), check ^ seed) + data
        size = len(record)
        with self._lock:
            pos = self._pos
            end = pos + size
            place = slice(pos, end)
            while end > self._limit or self._seed != seed or self._pos != pos:
                if not self._make_room(event, size):
                    return
                seed = self._seed
                record = _pack(len(data), check ^ seed) + data
                pos = self._pos
                end = pos + size
                place = slice(pos, end)
            # Nothing can interrupt from here to the last line: see the module's text.
            self._buf[place] = record
            self._pos = end
            self.emitted += 1
            if not self._spilling:
                if self.emitted - self._taken >= self._cap:
                    cursor = self._cursor
                    cursor.segment = self._segment
                    cursor.offset = end
                    cursor.index = self.emitted
                    self._spilling = True
                self._queue.append(event)
        if self._deferred:
            self._take_deferred()
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

    def review_quota(self) -> None:
        """Segments were freed: see whether log lines need still be dropped."""
        self._scarce = self._journal.bytes > self._quota

    def expect_wake(self) -> None:
        """The writer will wait: the next event has to wake it."""
        self._awake = False

    def take_events(self, most: int) -> list[Event]:
        """Return the next events, at most ``most``; only the writer thread calls this."""
        queue = self._queue
        if queue:
            events = [queue.popleft() for _ in range(min(most, len(queue)))]
        elif self._spilling:
            with self._lock:  # whoever is appending has written the record when we get it
                stop = self.emitted
            events = self._journal.read(self._cursor, stop, most)
            with self._lock:
                if self._cursor.index == self.emitted:
                    self._spilling = False
        else:
            events = []
        self._taken += len(events)
        return events

    def rewind(self, index: int) -> None:
        """Go on with record number ``index``, which must still be in the journal."""
        with self._lock:
            self._queue.clear()
            self._cursor = self._journal.cursor(index)
            self._taken = index
            self._spilling = True

    def is_kept(self) -> bool:
        """Say whether the file of the present segment is where it was created."""
        path = self._segment.path
        return path is None or os.path.exists(path)

    def renew(self) -> None:
        """Go on in a new segment if the file of the present one was deleted."""
        if not self.is_kept():
            with self._lock:
                if not self._closed:
                    self._roll(0)

    def close(self) -> None:
        """Take no more events: later ones are ignored."""
        with self._lock:
            self._closed = True
            self._limit = -1

    def abandon(self) -> None:
        """In a forked child: like :meth:`close`, with a lock that another thread may hold."""
        self._lock = threading.RLock()
        self._awake = True
        self.close()

    def _make_room(self, event: Event, need: int) -> bool:
        """Make sure that a record fits; ``False`` if the event is not to be written now."""
        if self._closed:
            return False
        if self._rolling:
            self._deferred.append(event)
            return False
        if self._pos + need > self._limit:
            self._roll(need)
        return True

    def _roll(self, need: int) -> None:
        self._rolling = True
        self._limit = -1  # whoever interrupts this finds no room and defers
        try:
            segment = self._journal.roll(self.emitted, need)
            self._scarce = self._journal.bytes > self._quota
            self._segment, self._buf, self._seed = segment, segment.buf, segment.seed
            self._pos = HEADER_SIZE
        finally:
            self._rolling = False
        self._limit = self._segment.size

    def _take_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        self.append_many(deferred)
