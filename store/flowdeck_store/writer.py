"""A recording session: what the engine talks to.

session = Session.open(home, version="1.0", on_warning=print)
session.emit(events.run(...))
session.flush()
session.close()
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck_store import fallback, marks
from flowdeck_store import identity as identities
from flowdeck_store.connection import make_home
from flowdeck_store.errands import Errands
from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreTooNew, StoreUnwritable
from flowdeck_store.flusher import Flusher
from flowdeck_store.housekeeping import Housekeeping
from flowdeck_store.intake import Intake
from flowdeck_store.journal import Journal
from flowdeck_store.link import StoreLink
from flowdeck_store.paths import StorePaths
from flowdeck_store.recall import Recall
from flowdeck_store.trouble import Troubles
from flowdeck_store.tuning import DEFAULT, Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from flowdeck_store.cache import CacheHit
    from flowdeck_store.control import ControlRequest
    from flowdeck_store.events import Event

_sessions: set[Session] = set()  # open in this process
_leaked: list[Any] = []  # of the parent: a forked child must neither use nor close them


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of a session."""

    emitted: int
    applied: int
    flushes: int
    backlog: int
    dropped: int  # log lines given up because the journal was full
    rejected: int  # events that could not be recorded
    healthy: bool


class Session:
    """The record of one process. Get it from :meth:`open`; all methods are thread-safe.

    After :meth:`close`, and in a forked child, events are ignored.
    """

    #: Take an event: about a microsecond, never waits for a file.
    emit: Callable[[Event], None]
    #: Take several events in order.
    emit_many: Callable[[Sequence[Event]], None]

    def __init__(
        self, paths: StorePaths, identity: identities.Identity, mark: marks.Mark,
        on_warning: Callable[[str], None], on_control: Callable[[ControlRequest], None] | None,
        tuning: Tuning,
    ) -> None:  # fmt: skip
        """Internal: use :meth:`open`."""
        self.uid = identity.uid
        self._paths, self._mark = paths, mark
        self._closed = False
        self._troubles = Troubles(paths, on_warning, tuning.lock_patience)
        self._link = StoreLink(paths, identity, tuning)
        self._errands = Errands(self._link, on_control, self._troubles.say, tuning.busy)
        self._journal = Journal(
            paths.journal, identity.uid, identity.as_dict(), tuning.segment_bytes,
            fallback=lambda: fallback.make(paths),
        )  # fmt: skip
        self._intake = Intake(
            self._journal, wake=self._wake, on_cache=self._errands.cache.emitted,
            queue_cap=tuning.queue_cap, quota=tuning.journal_quota,
        )  # fmt: skip
        self._flusher = Flusher(
            self._intake, self._journal, self._link, Recall(self._errands.cache.stored),
            self._troubles, tuning, self._settle, self._errands.tick,
        )  # fmt: skip
        self._housekeeping = Housekeeping(paths.home)
        self.emit = self._intake.append
        self.emit_many = self._intake.append_many

    @classmethod
    def open(
        cls, home: Path, *, version: str, on_warning: Callable[[str], None],
        on_control: Callable[[ControlRequest], None] | None = None, tuning: Tuning = DEFAULT,
    ) -> Session:  # fmt: skip
        """Begin to record this process in the store below ``home``.

        Creates what is missing (folder 0700, files 0600). A store that cannot be written just now
        (locked, read-only, full) is no error: events wait in the journal and the user is warned.

        Args:
            home: the folder of the store.
            version: of the program that records, noted in the store.
            on_warning: gets one line for the user when the store cannot be written, and one when
                it can again. Called on any thread.
            on_control: gets the requests of other processes to runs of this one, on the writer's
                thread; answer with :meth:`control_done`.
            tuning: figures, for tests.

        Raises:
            StoreUnwritable: the home folder cannot be created.
            StoreCorrupt: the file is no store.
            StoreTooNew: a newer flowdeck wrote it.
        """
        paths = StorePaths(home)
        make_home(paths)
        identity = identities.of_this_process(version)
        session = cls(paths, identity, _mark(paths, identity.uid), on_warning, on_control, tuning)
        try:
            session._begin()
        except BaseException:
            session._journal.close(delete=True)
            session._mark.release(delete=True)
            raise
        return session

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Wait until everything emitted so far is committed; say whether it is.

        Returns early with False when the store cannot be written for a reason that does not pass
        by waiting (full disk, read-only...).

        Args:
            timeout: seconds; ``None``: as long as it takes.
        """
        return self._closed or self._flusher.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """End the session: commit what is left, stop the thread.

        Args:
            timeout: seconds to wait for a store that is locked or slow.

        Returns:
            Whether everything is in the store. If not, it stays in the journal for the next
            flowdeck process, and the user was told.
        """
        if self._closed:
            return True
        self._closed = True
        deadline = time.monotonic() + timeout
        self._intake.close()
        done = self._flusher.flush(timeout)
        self._housekeeping.stop(max(0.1, deadline - time.monotonic()))
        stopped = self._flusher.stop(max(0.1, deadline - time.monotonic()))
        self._errands.door.close()
        if stopped:
            self._journal.close(delete=done)
        self._mark.release(delete=done)
        _sessions.discard(self)
        return done

    def run_number(self, uid: str) -> int | None:
        """Return the number of a flow run, once the store has given it one (after a flush)."""
        return self._flusher.run_number(uid)

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        """Return the newest kept result under ``key`` that has not expired.

        Includes CACHE events of this session that are not stored yet.
        """
        return self._errands.cache.find(key, now_us)

    def has_limits(self) -> bool:
        """Say whether any tag has a limit (cheap; as of the last tick, or the opening)."""
        return self._errands.has_limits

    def acquire_slots(self, tags: Iterable[str], uid: str, no: int) -> tuple[str, ...]:
        """Take a slot of every tag that has a limit, or none.

        Args:
            tags: of the task run.
            uid: of its flow run.
            no: its number in the run.

        Returns:
            ``()`` when it may run, else the tags that are full now. A store that is locked counts
            as full; one that cannot be written at all limits nothing.

        Raises:
            LimitZero: a tag allows nothing.
        """
        return self._errands.acquire(tags, uid, no)

    def release_slots(self, uid: str, no: int) -> None:
        """Give back the slots of a task run."""
        self._errands.release(uid, no)

    def control_done(self, request_id: int) -> None:
        """Note that a request was carried out."""
        self._errands.control_done(request_id)

    def statistics(self) -> Statistics:
        """Return figures of this moment."""
        return Statistics(
            emitted=self._intake.emitted,
            applied=self._flusher.applied,
            flushes=self._flusher.flushes,
            backlog=self._flusher.backlog,
            dropped=self._intake.dropped,
            rejected=self._flusher.rejected,
            healthy=self._troubles.kind is None,
        )

    def _settle(self) -> None:
        """Make again what somebody deleted together with the store."""
        make_home(self._paths)
        self._mark.renew()
        self._intake.renew()

    def _wake(self) -> None:
        self._flusher.wake.set()

    def _begin(self) -> None:
        try:
            self._flusher.attach()
            self._errands.begin(self._link.conn)
        except (StoreCorrupt, StoreTooNew):
            raise
        except (StoreBusy, sqlite3.Error, OSError) as error:
            self._flusher.failed(error)
        self._flusher.start()
        self._housekeeping.start()
        _sessions.add(self)

    def _abandon(self) -> None:
        """In a forked child: everything here belongs to the parent."""
        self._closed = True
        self._intake.abandon()
        self._errands.door.abandon()
        self._errands.cache.abandon()
        _leaked.append(self)


def _mark(paths: StorePaths, uid: str) -> marks.Mark:
    try:
        return marks.hold(paths.locks, uid)
    except StoreUnwritable as error:
        try:
            return marks.hold(fallback.make(paths), uid)
        except (OSError, StoreUnwritable):
            raise error from None


def _close_all() -> None:
    for session in list(_sessions):
        session.close()


def _after_fork() -> None:
    for session in list(_sessions):
        session._abandon()
    _sessions.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
