"""The one writer thread of a process: gathers events, commits them, survives a store it cannot write.

Pacing: after a pause the first event lingers 2 ms, so that its company can arrive; then there is at
most one flush per 20 ms. That shows a change to other processes within some 25 ms, and a flush of
200 events costs a third of one of 10, per event. Each call that lets go of the
interpreter lock may cost 5 ms to get it back from a busy flow, so a flush is one wait, one lock, one
statement (:mod:`flowdeck_store.file.tables.ingest_ddl`); all else is done in a *tick*, five times a second.

SQLite goes on writing into a file that was deleted or replaced, without a word. So a tick looks
whether the file is in its place. Three numbers follow from that, each at most the one before:
``applied`` records are committed, ``verified`` ones were committed when the file was seen in its
place afterwards, ``durable`` ones are moreover as safe as the settings promise. Only what is durable
is freed from the journal, and only what is verified answers :meth:`Flusher.flush`.

Nothing that goes wrong ends the thread, as nothing would be recorded any more: events stay in the
journal, the user is told once (:mod:`flowdeck_store.file.trouble`), and the next attempt comes after
a while that doubles. What the store already has is asked for when it is opened again.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.file.forking import inside_sqlite
from flowdeck_store.file.trouble import FULL, LOCKED, kind_of
from flowdeck_store.file.wakeup import Signal
from flowdeck_store.record.clock_steps import Clock
from flowdeck_store.record.ingest import AppliedMovedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.events import Event
    from flowdeck_store.file.trouble import Troubles
    from flowdeck_store.journal.chain import Journal
    from flowdeck_store.journal.durability import Syncs
    from flowdeck_store.record.intake import Intake
    from flowdeck_store.record.reseed import Reseed
    from flowdeck_store.record.store_file import StoreFile
    from flowdeck_store.record.tuning import Tuning


class Flusher:
    """Moves events from the intake to the store, on a thread of its own.

    Args:
        restore_files: called before the store is opened; makes sure that folders, journal and our
            process lock are there, and raises :class:`StoreBusy` while another process recovers
            this session.
        has_its_files: says whether they are still there.
        syncs: forces what is recorded to the disk, if that is wanted.
        on_tick: called on the thread about every ``tick`` seconds with the healthy connection.
        on_clock_step: told by how many seconds somebody set the machine's clock.
    """

    def __init__(
        self,
        intake: Intake,
        journal: Journal,
        store_file: StoreFile,
        reseed: Reseed,
        troubles: Troubles,
        tuning: Tuning,
        restore_files: Callable[[], None],
        has_its_files: Callable[[], bool],
        syncs: Syncs,
        on_tick: Callable[[sqlite3.Connection], None],
        on_clock_step: Callable[[float], None],
    ) -> None:
        self.applied = 0  # committed
        self.verified = 0  # committed, and the file was seen in its place afterwards
        self.durable = 0  # verified, and as safe as the settings promise
        self.flushes = 0
        self._intake, self._journal, self._store_file = intake, journal, store_file
        self._reseed, self._troubles, self._tuning = reseed, troubles, tuning
        self._restore_files, self._has_its_files = restore_files, has_its_files
        self._on_tick = on_tick
        self._syncs, self._on_clock_step = syncs, on_clock_step
        self.clock = Clock()
        self._held: list[Event] = []  # taken from the intake, not committed yet
        self._barrier = 0  # somebody waits for this many to be verified
        self._failures = 0  # attempts that failed, ever
        self._failing = False  # the last attempt did
        self._backoff = tuning.backoff
        self._retry_at = self._last_flush = self._last_tick = self._last_sign = 0.0
        self._last_look = 0.0
        self._stopping = self._warned = self._tried_room = False
        self.wake = Signal()  # there is work, after a rest
        self._hurry = False  # do not wait for the next interval
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="flowdeck-writer", daemon=True)

    @property
    def backlog(self) -> int:
        """How many events are not committed yet."""
        return self._intake.emitted - self.applied

    def attach(self) -> None:
        """Open the store and find out where to go on.

        Raises:
            StoreError, sqlite3.Error, OSError: see :meth:`StoreFile.attach`.
        """
        self._restore_files()
        lowest = self._journal.first
        applied = self._store_file.attach(lowest)
        self._held = []
        if applied or self._intake.emitted != self._intake.waiting:
            self._intake.rewind(applied)
        self._warn_of_file_system()
        self.applied = applied
        self.verified = min(self.verified, applied)
        self.durable = min(self.durable, applied)
        before = self._reseed.events_before(lowest) if applied == lowest else []
        if before:
            self._say_again(before)

    def _warn_of_file_system(self) -> None:
        if not self._store_file.wal and not self._warned:
            self._warned = True
            self._troubles.say(
                f"The file system of {self._store_file.paths.db} cannot share memory between processes "
                "(a network or container mount?). Recording works, but slower, and whoever reads "
                "may wait for whoever writes. Set FLOWDECK_HOME to a folder on a local disk."
            )

    def _say_again(self, before: list[Event]) -> None:
        try:
            self._store_file.ingester.commit(before, None)
        except BaseException:
            self._store_file.detach()  # else the next attempt would believe that it was said
            raise

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def failed(self, error: BaseException) -> None:
        """Note that the store cannot be written now; events stay in the journal."""
        if self._store_file.attached and kind_of(error) != LOCKED:
            self._store_file.detach()
            self._held = []
        self._troubles.report(error, self._journal_name(), self._journal.error)
        locked = self._troubles.kind == LOCKED
        self._retry_at = time.monotonic() + (self._tuning.interval if locked else self._backoff)
        if not locked:
            self._backoff = min(self._backoff * 2, self._tuning.backoff_max)
        with self._change:
            self._failures += 1
            self._failing = True
            self._hurry = False
            self._change.notify_all()

    def flush(self, timeout: float | None) -> bool:
        """Wait until all events emitted so far are in the store; say whether they are.

        Gives up early when the store cannot be written for a reason that waiting does not cure.
        """
        target = self._intake.emitted
        if self.verified >= target:
            return True
        with self._change:
            failures = self._failures
            self._barrier = max(self._barrier, target)
            self._hurry = True
            self.wake.set()
            self._change.wait_for(lambda: self._is_over(target, failures), timeout)
        if self.verified >= target:
            return True
        self._explain()
        return False

    def stop(self, timeout: float) -> bool:
        """End the thread after a last attempt; say whether it ended in time."""
        with self._change:
            self._stopping = True
            self._hurry = True
            self.wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _is_over(self, target: int, failures: int) -> bool:
        if self.verified >= target or not self._thread.is_alive():
            return True
        hopeless = self._failing and self._troubles.kind != LOCKED
        return hopeless and self._failures > failures

    def _explain(self) -> None:
        """A caller waited in vain: say why, even if patience is not over."""
        if self._troubles.kind is None:
            holder = self._store_file.write_lock.holder()
            if holder is None:
                return  # just slow
            busy = StoreBusy(f"process {holder} holds {self._store_file.write_lock.path}")
            self._troubles.report(busy, self._journal_name(), self._journal.error)
        self._troubles.insist(self._journal_name(), self._journal.error)

    def _run(self) -> None:
        while True:
            self._gather()
            if time.monotonic() >= self._retry_at or self._hurry:
                with inside_sqlite():
                    self._attempt()
            if self._stopping and (self._failing or not self._has_work()):
                break
        with inside_sqlite():
            self._finish()

    def _has_work(self) -> bool:
        return bool(self._held) or self._intake.waiting > 0 or self._barrier > self.verified

    def _gather(self) -> None:
        """Wait for events, and then for the moment to flush them."""
        tuning = self._tuning
        if self._failing:
            self._pause(min(time.monotonic() + tuning.tick, self._retry_at))
            return
        interval = tuning.interval if self._store_file.wal else tuning.slow_interval
        due = self._last_flush + interval
        if not self._has_work():
            self._intake.expect_wake()
            if not self._intake.waiting:
                self._pause(time.monotonic() + tuning.tick)
            due = max(due, time.monotonic() + tuning.linger)
        if self._intake.waiting and len(self._held) + self._intake.waiting < tuning.max_events:
            self._pause(due)

    def _pause(self, until: float) -> None:
        """Sleep, unless somebody is in a hurry."""
        delay = until - time.monotonic()
        if delay > 0 and not (self._hurry or self._stopping):
            self.wake.wait(delay)

    def _attempt(self) -> None:
        try:
            now = time.monotonic()
            if now - self._last_look >= self._tuning.tick:
                self._last_look = now
                if not self._has_its_files():
                    self._restore_files()
            if not self._store_file.attached:
                self.attach()
            self._commit()
            if now - self._last_tick >= self._tuning.tick or self._barrier > self.verified:
                self._tick(now)
        except AppliedMovedError:
            self._resynchronise()
        except Exception as error:
            # Also what nobody foresaw: if this thread died, nothing would be recorded any more.
            if not self._made_room(error):
                self.failed(error)
            self._protect()
        else:
            self._succeeded()

    def _made_room(self, error: Exception) -> bool:
        """Meet a full disk by merging the write-ahead log, which may be the larger part."""
        if kind_of(error) != FULL or self._tried_room:
            return False
        self._tried_room = True  # once: a commit that fails again fills it again
        try:
            return self._store_file.make_room()
        except (sqlite3.Error, StoreError, OSError):
            return False

    def _protect(self) -> None:
        """While the store cannot be written, the journal is all there is."""
        if self._syncs.is_due:
            try:
                self._syncs.sync_journal()
            except OSError as error:
                self.failed(error)

    def _succeeded(self) -> None:
        self._failing, self._retry_at = False, 0.0
        self._tried_room = False
        # Not before the backlog is gone: near a full disk, single flushes succeed in between.
        if self._troubles.kind is not None and self.backlog < self._tuning.max_events:
            self._troubles.over(self.applied)
            self._backoff = self._tuning.backoff

    def _commit(self) -> None:
        if not self._held:
            self._held = self._intake.take_events(self._tuning.max_events)
        if not self._held:
            return
        self._last_flush = time.monotonic()
        done = self._store_file.ingester.commit(self._held, self.applied)
        self._reseed.note_committed(self._held[:done], self.applied)
        del self._held[:done]
        self.applied += done
        self.flushes += 1
        self._last_sign = self._last_flush

    def _tick(self, now: float) -> None:
        """Look at the file, free what is safe, tell who waits, give a sign of life."""
        before, self._last_tick = self._last_tick, now
        if not self._store_file.in_place():
            self._troubles.say(
                f"{self._store_file.paths.db} was deleted or replaced while in use; what the journal "
                "still has is recorded again."
            )
            self._store_file.detach()
            self.attach()
            return
        if self._last_flush < before and self._store_file.is_declared_dead():
            raise AppliedMovedError  # a commit finds that out by itself
        step = self.clock.step()
        if step:
            self._on_clock_step(step)
        with self._change:
            self.verified = self.applied
            if self._barrier <= self.verified:
                self._hurry = False
            self._change.notify_all()
        self._make_durable()
        self._journal.free(self.durable)
        self._intake.review_quota()
        if self._intake.half_full:
            self._journal.prepare()
        self._store_file.shrink_wal()
        if now - self._last_sign > self._tuning.beat:
            self._store_file.beat()
            self._last_sign = now
        self._on_tick(self._store_file.conn)

    def _make_durable(self) -> None:
        """Let what is verified survive what the settings say, at the times that they say."""
        if not self._syncs.is_on:
            self.durable = self.verified
        elif self.durable < self.verified and self._syncs.is_due:
            verified = self.verified
            self._syncs.sync_store()
            self.durable = verified

    def _resynchronise(self) -> None:
        """Somebody else changed what the store says it holds: believe it, unless we are not dead."""
        try:
            self._restore_files()
            if self._store_file.is_declared_dead():
                self._store_file.reopen()
            applied = self._store_file.applied()
            if applied is None:
                self._store_file.detach()
                self.attach()
            else:
                self.applied = max(applied, self._journal.first)
                self._held = []
                self._intake.rewind(self.applied)
        except (sqlite3.Error, StoreError, OSError) as error:
            self.failed(error)

    def _finish(self) -> None:
        if self._store_file.attached and self.backlog == 0:
            try:
                self._store_file.end()
                if self._syncs.is_on:
                    self._syncs.sync_store()
                self.durable = self.verified
            except (sqlite3.Error, StoreError, OSError):
                pass  # the session stays open in the record; the next recovery closes it
        self._store_file.detach()
        with self._change:
            self._change.notify_all()

    def _journal_name(self) -> str | None:
        place = self._journal.place
        return None if place is None else str(place)
