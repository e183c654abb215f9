"""A recording session: what the engine talks to.

    session = RecordingSession.open(home, version="1.0", on_warning=print)
    session.emit(events.run(...))
    session.flush()
    session.close()

An event's way: :class:`~flowdeck_store.record.intake.Intake` writes it into the
:class:`~flowdeck_store.journal.chain.Journal` and into a queue, on the caller's thread. The
:class:`~flowdeck_store.record.flusher.Flusher`, a thread, commits what is in the queue through the
:class:`~flowdeck_store.record.store_file.StoreFile`. On the same thread
:class:`~flowdeck_store.record.services.Services` looks for requests, limits and slots;
:class:`~flowdeck_store.upkeep.housekeeping.Housekeeping`, another thread, takes in what dead processes
left. This module only puts them together: it stands above all of them.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck_store import events as ev
from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreTooNew, StoreUnwritable
from flowdeck_store.file import process_lock
from flowdeck_store.file.connection import make_home
from flowdeck_store.file.identity import Identity, of_this_process
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.trouble import Troubles
from flowdeck_store.journal import fallback
from flowdeck_store.journal.chain import Journal
from flowdeck_store.journal.durability import PROCESS, Syncs
from flowdeck_store.record import clock_steps
from flowdeck_store.record.fencing import TAKEN_FOR_DEAD
from flowdeck_store.record.flusher import Flusher
from flowdeck_store.record.ingest import LOGGER
from flowdeck_store.record.intake import Intake
from flowdeck_store.record.reseed import Reseed
from flowdeck_store.record.services import Services
from flowdeck_store.record.store_file import StoreFile
from flowdeck_store.record.tuning import DEFAULT, Tuning
from flowdeck_store.upkeep.housekeeping import Housekeeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from flowdeck_store.events import Event
    from flowdeck_store.record.cache import CacheHit
    from flowdeck_store.record.control import ControlRequest

_sessions: set[RecordingSession] = set()  # open in this process
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


class RecordingSession:
    """The record of one process. Get it from :meth:`open`; all methods are thread-safe.

    After :meth:`close`, and in a forked child, events are ignored.
    """

    #: Take an event: about a microsecond, never waits for a file.
    emit: Callable[[Event], None]
    #: Take several events in order.
    emit_many: Callable[[Sequence[Event]], None]

    def __init__(
        self, paths: StorePaths, identity: Identity, lock: process_lock.ProcessLock,
        on_warning: Callable[[str], None], on_control: Callable[[ControlRequest], None] | None,
        tuning: Tuning, durability: str,
    ) -> None:  # fmt: skip
        """Internal: use :meth:`open`."""
        self.uid = identity.uid
        self._paths, self._process_lock = paths, lock
        self._closed = False
        self._troubles = Troubles(paths, on_warning, tuning.lock_patience)
        self._store_file = StoreFile(paths, identity, tuning, self._reopened)
        self._services = Services(self._store_file, on_control, self._troubles.say, tuning.busy)
        self._journal = Journal(
            paths.journal, identity.uid, identity.as_dict(), tuning.segment_bytes,
            fallback=lambda: fallback.make(paths),
        )  # fmt: skip
        self._intake = Intake(
            self._journal, wake=self._wake, on_cache=self._services.cache.emitted,
            queue_cap=tuning.queue_cap, quota=tuning.journal_quota,
        )  # fmt: skip
        self._reseed = Reseed(self._services.cache.stored)
        self._flusher = Flusher(
            self._intake, self._journal, self._store_file, self._reseed,
            self._troubles, tuning, self._restore_files, self._has_its_files,
            Syncs(paths, self._journal, durability, tuning.sync_interval), self._services.tick,
            self._clock_step,
        )  # fmt: skip
        self._housekeeping = Housekeeping(paths.home)
        self.emit = self._intake.append
        self.emit_many = self._intake.append_many

    @classmethod
    def open(
        cls, home: Path, *, version: str, on_warning: Callable[[str], None],
        on_control: Callable[[ControlRequest], None] | None = None, tuning: Tuning = DEFAULT,
        durability: str = PROCESS,
    ) -> RecordingSession:  # fmt: skip
        """Begin to record this process in the store below ``home``.

        Creates what is missing (folder 0700, files 0600). A store that cannot be written just now
        (locked, read-only, full, in a folder that cannot be created) is no error: events wait in
        the journal and the user is warned.

        Args:
            home: the folder of the store.
            version: of the program that records, noted in the store.
            on_warning: gets one line for the user when the store cannot be written, and one when
                it can again. Called on any thread.
            on_control: gets the requests of other processes to runs of this one, on the writer's
                thread; answer with :meth:`control_done`.
            tuning: figures, for tests.
            durability: what is to survive, see :mod:`flowdeck_store.journal.durability`.

        Raises:
            StoreUnwritable: neither the home folder nor one that stands in for it can be written.
            StoreCorrupt: the file is no store.
            StoreTooNew: a newer flowdeck wrote it.
        """
        paths = StorePaths(home)
        with contextlib.suppress(StoreUnwritable):  # as a read-only one: told when it is opened
            make_home(paths)
        identity = of_this_process(version)
        lock = _hold_process_lock(paths, identity.uid)
        session = cls(paths, identity, lock, on_warning, on_control, tuning, durability)
        try:
            session._begin()
        except BaseException:
            session._journal.close(delete=True)
            session._process_lock.release(delete=True)
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
        self._services.door.close()
        if stopped:
            kept = not done or self._flusher.durable < self._intake.emitted
            self._journal.close(delete=not kept)
            self._process_lock.release(delete=not kept)
            self._store_file.write_lock.let_go_of_file()
        else:
            self._process_lock.release(delete=False)
        _sessions.discard(self)
        return done

    @property
    def is_kept(self) -> bool:
        """Whether all that was emitted is in the store or in a file that the next process reads."""
        return self._flusher.backlog == 0 or self._journal.place is not None

    def run_number(self, uid: str) -> int | None:
        """Return the number of a flow run, once the store has given it one (after a flush)."""
        return self._store_file.run_number(uid)

    def cached(self, key: str, now_us: int) -> CacheHit | None:
        """Return the newest kept result under ``key`` that has not expired.

        Includes CACHE events of this session that are not stored yet.
        """
        return self._services.cache.find(key, now_us)

    def limited_tags(self) -> frozenset[str]:
        """Return the tags that have a limit (cheap; as of the last tick, or the opening)."""
        return self._services.limited_tags

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
        return self._services.acquire(tags, uid, no)

    def release_slots(self, uid: str, no: int) -> None:
        """Give back the slots of a task run."""
        self._services.release(uid, no)

    def control_done(self, request_id: int) -> None:
        """Note that a request was carried out."""
        self._services.control_done(request_id)

    def statistics(self) -> Statistics:
        """Return figures of this moment."""
        return Statistics(
            emitted=self._intake.emitted,
            applied=self._flusher.applied,
            flushes=self._flusher.flushes,
            backlog=self._flusher.backlog,
            dropped=self._intake.dropped,
            rejected=self._store_file.rejected,
            healthy=self._troubles.kind is None,
        )

    def _has_its_files(self) -> bool:
        return self._process_lock.is_kept() and self._intake.is_kept()

    def _restore_files(self) -> None:
        """Make again what somebody deleted together with the store, or without it."""
        make_home(self._paths)
        if not self._process_lock.keep():
            raise StoreBusy(f"Another process takes in what it believes a dead session: {self.uid}")
        self._intake.renew()

    def _reopened(self, uids: list[str]) -> None:
        """Another process had taken this one for dead; the record goes on."""
        for uid in uids:
            self.emit(ev.log(uid, 0, ev.now_us(), logging.WARNING, LOGGER, TAKEN_FOR_DEAD))
        self._services.hold_again()

    def _clock_step(self, seconds: float) -> None:
        for uid in self._reseed.live_runs():
            text = clock_steps.sentence(seconds)
            self.emit(ev.log(uid, 0, ev.now_us(), logging.WARNING, LOGGER, text))

    def _wake(self) -> None:
        self._flusher.wake.set()

    def _begin(self) -> None:
        try:
            self._flusher.attach()
            self._services.begin(self._store_file.conn)
        except (StoreCorrupt, StoreTooNew):
            raise
        except (StoreBusy, StoreUnwritable, sqlite3.Error, OSError) as error:
            self._flusher.failed(error)
        self._flusher.start()
        self._housekeeping.start()
        _sessions.add(self)

    def _abandon(self) -> None:
        """In a forked child: everything here belongs to the parent."""
        self._closed = True
        self._intake.abandon()
        self._services.door.abandon()
        self._services.cache.abandon()
        _leaked.append(self)


def _hold_process_lock(paths: StorePaths, uid: str) -> process_lock.ProcessLock:
    try:
        return process_lock.hold(paths.locks, uid)
    except StoreUnwritable as error:
        try:
            return process_lock.hold(fallback.make(paths), uid)
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
