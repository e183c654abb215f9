"""What a session does beside recording: requests of others, limits by tag, the cache."""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.file.trouble import LOCKED, kind_of
from flowdeck_store.record import limits
from flowdeck_store.record.cache import CacheView
from flowdeck_store.record.control import ControlRequest, Inbox, mark_done
from flowdeck_store.record.side_door import SideDoor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck_store.record.store_file import StoreFile


class Services:
    """The small duties of one session.

    Args:
        store_file: the session's tie to the store (its number, write lock and connection).
        on_control: gets the requests to runs of this session, on the writer's thread.
        say: shows one line to the user.
        timeout: how long calls of other threads wait for the store, in seconds.
    """

    def __init__(
        self,
        store_file: StoreFile,
        on_control: Callable[[ControlRequest], None] | None,
        say: Callable[[str], None],
        timeout: float,
    ) -> None:
        self.limited_tags: frozenset[str] = frozenset()
        self.door = SideDoor(store_file.paths, timeout)
        self.cache = CacheView(self.door)
        self._store_file, self._on_control, self._say = store_file, on_control, say
        self._inbox = Inbox()
        self._done: deque[int] = deque()  # requests carried out, not noted in the store yet
        self._unreleased: deque[tuple[str, int]] = deque()
        self._lost_slots = False
        self._slots: dict[tuple[str, int], tuple[str, ...]] = {}  # taken: whose, tags

    def begin(self, conn: sqlite3.Connection) -> None:
        """When a session opens: the first task run asks for limits before the first tick."""
        self.limited_tags = limits.limited_tags(conn)

    def tick(self, conn: sqlite3.Connection) -> None:
        """On the writer's thread: hand out requests, note what is done, look for limits."""
        self.limited_tags = limits.limited_tags(conn)
        if self._on_control is not None:
            for request in self._inbox.new_requests(conn, self._store_file.session_id):
                self._hand_out(request)
        self.write_postponed(conn)

    def write_postponed(self, conn: sqlite3.Connection) -> None:
        """Write what could not be written when it happened."""
        if self._lost_slots:
            with self._store_file.write_lock.hold():
                for run, tags in list(self._slots.items()):
                    limits.insist(conn, self._store_file.session_id, tags, run)
            self._lost_slots = False
        if not (self._done or self._unreleased):
            return
        done, unreleased = list(self._done), list(self._unreleased)
        with self._store_file.write_lock.hold():
            mark_done(conn, done)
            limits.release(conn, unreleased)
        for _ in done:
            self._done.popleft()
        for _ in unreleased:
            self._unreleased.popleft()

    def control_done(self, request_id: int) -> None:
        """Note that a request was carried out, with the next tick."""
        self._done.append(request_id)

    def acquire(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]:
        """See :meth:`RecordingSession.acquire_slots`."""
        wanted = tuple(tags)
        session = (self._store_file.session_id, self._store_file.identity.boot_id)
        try:
            with self.door.writing() as conn:
                full = limits.acquire(conn, self._store_file.paths, session, wanted, (uid, no))
            if not full:
                self._slots[uid, no] = wanted
            return full
        except limits.LimitZero:
            raise
        except (StoreError, sqlite3.Error, OSError) as error:
            # A lock passes: ask again. A store that is gone or full must not stop the flow.
            return wanted if kind_of(error) == LOCKED else ()

    def release(self, uid: str, no: int) -> None:
        """See :meth:`RecordingSession.release_slots`."""
        self._slots.pop((uid, no), None)
        try:
            with self.door.writing() as conn:
                limits.release(conn, [(uid, no)])
        except (StoreBusy, StoreError, sqlite3.Error, OSError):
            self._unreleased.append((uid, no))

    def hold_again(self) -> None:
        """Whoever took this session for dead gave its slots to others: they count again."""
        self._lost_slots = bool(self._slots)

    def _hand_out(self, request: ControlRequest) -> None:
        assert self._on_control is not None
        try:
            self._on_control(request)
        except Exception as error:
            self._say(f"A request to {request.verb} run {request.run_id} failed: {error!r}")
