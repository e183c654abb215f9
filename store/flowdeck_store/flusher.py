"""The one writer thread of a process: gathers events, commits them, survives a store it cannot write.

Pacing: after a pause the first event lingers 2 ms, then there is at most one flush per 20 ms. Each
call that lets go of the interpreter lock may cost milliseconds to get it back from a busy flow, so
a flush is one wait, one gate, one statement; the file is looked at five times a second only, and
nothing that was committed since is dropped from the journal before that look.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.forking import inside_sqlite
from flowdeck_store.ingest import AppliedMovedError
from flowdeck_store.trouble import LOCKED, kind_of
from flowdeck_store.wakeup import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.events import Event
    from flowdeck_store.intake import Intake
    from flowdeck_store.journal import Journal
    from flowdeck_store.link import StoreLink
    from flowdeck_store.recall import Recall
    from flowdeck_store.trouble import Troubles
    from flowdeck_store.tuning import Tuning


class Flusher:
    """Moves events from the intake to the store, on a thread of its own.

    Args:
        settle: called before the store is opened; makes sure that its folders are there.
        on_tick: called on the thread about every ``tick`` seconds with the healthy connection.
    """

    def __init__(
        self,
        intake: Intake,
        journal: Journal,
        link: StoreLink,
        recall: Recall,
        troubles: Troubles,
        tuning: Tuning,
        settle: Callable[[], None],
        on_tick: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.applied = 0  # committed
        self.verified = 0  # committed, and the file was seen in its place afterwards
        self.flushes = 0
        self._intake, self._journal, self._link = intake, journal, link
        self._recall, self._troubles, self._tuning = recall, troubles, tuning
        self._settle, self._on_tick = settle, on_tick
        self._held: list[Event] = []  # taken from the intake, not committed yet
        self._barrier = 0  # somebody waits for this many to be verified
        self._failures = 0  # attempts that failed, ever
        self._failing = False  # the last attempt did
        self._backoff = tuning.backoff
        self._retry_at = self._last_flush = self._last_tick = self._last_sign = 0.0
        self._stopping = self._warned = False
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
            StoreError, sqlite3.Error, OSError: see :meth:`StoreLink.attach`.
        """
        self._settle()
        lowest = self._journal.first
        applied = self._link.attach(lowest)
        self._held = []
        if applied or self._intake.emitted != self._intake.waiting:
            self._intake.rewind(applied)
        self._warn_of_file_system()
        self.applied = applied
        self.verified = min(self.verified, applied)
        before = self._recall.before(lowest) if applied == lowest else []
        if before:
            self._say_again(before)

    def _warn_of_file_system(self) -> None:
        if not self._link.wal and not self._warned:
            self._warned = True
            self._troubles.say(
                f"The file system of {self._link.paths.db} cannot share memory between processes "
                "(a network or container mount?). Recording works, but slower, and whoever reads "
                "may wait for whoever writes. Set FLOWDECK_HOME to a folder on a local disk."
            )

    def _say_again(self, before: list[Event]) -> None:
        try:
            self._link.ingester.commit(before, None)
        except BaseException:
            self._link.detach()  # else the next attempt would believe that it was said
            raise

    @property
    def rejected(self) -> int:
        """How many events could not be recorded at all."""
        return self._link.rejected

    def run_number(self, uid: str) -> int | None:
        """Return the number that the store gave to a run of this session, once it has."""
        return self._link.run_number(uid)

    def start(self) -> None:
        self._thread.start()

    def failed(self, error: BaseException) -> None:
        """Note that the store cannot be written now; events stay in the journal."""
        if self._link.attached and kind_of(error) != LOCKED:
            self._link.detach()
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
            self._change.wait_for(lambda: self._settled(target, failures), timeout)
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

    def _settled(self, target: int, failures: int) -> bool:
        if self.verified >= target or not self._thread.is_alive():
            return True
        hopeless = self._failing and self._troubles.kind != LOCKED
        return hopeless and self._failures > failures

    def _explain(self) -> None:
        """A caller waited in vain: say why, even if patience is not over."""
        if self._troubles.kind is None:
            holder = self._link.gate.holder()
            if holder is None:
                return  # just slow
            busy = StoreBusy(f"process {holder} holds {self._link.gate.path}")
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
        interval = tuning.interval if self._link.wal else tuning.slow_interval
        due = self._last_flush + interval
        if not self._has_work():
            self._intake.rest()
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
            if not self._link.attached:
                self.attach()
            self._commit()
            now = time.monotonic()
            if now - self._last_tick >= self._tuning.tick or self._barrier > self.verified:
                self._tick(now)
        except AppliedMovedError:
            self._resynchronise()
        except Exception as error:
            # Also what nobody foresaw: if this thread died, nothing would be recorded any more.
            self.failed(error)
        else:
            self._succeeded()

    def _succeeded(self) -> None:
        self._failing, self._retry_at = False, 0.0
        # Not before the backlog is gone: near a full disk, single flushes succeed in between.
        if self._troubles.kind is not None and self.backlog < self._tuning.max_events:
            self._troubles.over(self.applied)
            self._backoff = self._tuning.backoff

    def _commit(self) -> None:
        if not self._held:
            self._held = self._intake.take(self._tuning.max_events)
        if not self._held:
            return
        self._last_flush = time.monotonic()
        done = self._link.ingester.commit(self._held, self.applied)
        self._recall.note(self._held[:done], self.applied)
        del self._held[:done]
        self.applied += done
        self.flushes += 1
        self._last_sign = self._last_flush

    def _tick(self, now: float) -> None:
        """Look at the file, free what is safe, tell who waits, give a sign of life."""
        self._last_tick = now
        if not self._link.in_place():
            self._troubles.say(
                f"{self._link.paths.db} was deleted or replaced while in use; what the journal "
                "still has is recorded again."
            )
            self._link.detach()
            self.attach()
            return
        with self._change:
            self.verified = self.applied
            if self._barrier <= self.verified:
                self._hurry = False
            self._change.notify_all()
        self._journal.free(self.verified)
        self._intake.relax()
        if self._intake.half_full:
            self._journal.prepare()
        self._link.shrink_wal()
        if now - self._last_sign > self._tuning.beat:
            self._link.beat()
            self._last_sign = now
        self._on_tick(self._link.conn)

    def _resynchronise(self) -> None:
        """Somebody else changed what the store says it holds: believe it."""
        try:
            applied = self._link.applied()
            if applied is None:
                self._link.detach()
                self.attach()
            else:
                self.applied = max(applied, self._journal.first)
                self._held = []
                self._intake.rewind(self.applied)
        except (sqlite3.Error, StoreError, OSError) as error:
            self.failed(error)

    def _finish(self) -> None:
        if self._link.attached and self.backlog == 0:
            try:
                self._link.end()
            except (sqlite3.Error, StoreError, OSError):
                pass  # the session stays open in the record; the next recovery closes it
        self._link.detach()
        with self._change:
            self._change.notify_all()

    def _journal_name(self) -> str | None:
        place = self._journal.place
        return None if place is None else str(place)
