"""What a session does beside recording: requests of others, limits by tag, the cache."""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from flowdeck_store import limits
from flowdeck_store.cache import CacheView
from flowdeck_store.control import ControlRequest, Inbox, mark_done
from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.side_door import SideDoor
from flowdeck_store.trouble import LOCKED, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck_store.link import StoreLink


class Errands:
    """The small duties of one session.

    Args:
        link: the session's tie to the store (its number, gate and connection).
        on_control: gets the requests to runs of this session, on the writer's thread.
        say: shows one line to the user.
        timeout: how long calls of other threads wait for the store, in seconds.
    """

    def __init__(
        self,
        link: StoreLink,
        on_control: Callable[[ControlRequest], None] | None,
        say: Callable[[str], None],
        timeout: float,
    ) -> None:
        self.has_limits = False
        self.door = SideDoor(link.paths, timeout)
        self.cache = CacheView(self.door)
        self._link, self._on_control, self._say = link, on_control, say
        self._inbox = Inbox()
        self._done: deque[int] = deque()  # requests carried out, not noted in the store yet
        self._unreleased: deque[tuple[str, int]] = deque()

    def begin(self, conn: sqlite3.Connection) -> None:
        """When a session opens: the first task run asks for limits before the first tick."""
        self.has_limits = limits.any_limits(conn)

    def tick(self, conn: sqlite3.Connection) -> None:
        """On the writer's thread: hand out requests, note what is done, look for limits."""
        self.has_limits = limits.any_limits(conn)
        if self._on_control is not None:
            for request in self._inbox.new(conn, self._link.session_id):
                self._hand_out(request)
        self.settle(conn)

    def settle(self, conn: sqlite3.Connection) -> None:
        """Write what could not be written when it happened."""
        if not (self._done or self._unreleased):
            return
        done, unreleased = list(self._done), list(self._unreleased)
        with self._link.gate.hold():
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
        """See :meth:`Session.acquire_slots`."""
        wanted = tuple(tags)
        session = (self._link.session_id, self._link.identity.boot_id)
        try:
            with self.door.writing() as conn:
                return limits.acquire(conn, self._link.paths, session, wanted, (uid, no))
        except limits.LimitZero:
            raise
        except (StoreError, sqlite3.Error, OSError) as error:
            # A lock passes: ask again. A store that is gone or full must not stop the flow.
            return wanted if kind_of(error) == LOCKED else ()

    def release(self, uid: str, no: int) -> None:
        """See :meth:`Session.release_slots`."""
        try:
            with self.door.writing() as conn:
                limits.release(conn, [(uid, no)])
        except (StoreBusy, StoreError, sqlite3.Error, OSError):
            self._unreleased.append((uid, no))

    def _hand_out(self, request: ControlRequest) -> None:
        assert self._on_control is not None
        try:
            self._on_control(request)
        except Exception as error:
            self._say(f"A request to {request.verb} run {request.run_id} failed: {error!r}")
