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
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_store import identity as identities
from flowdeck_store import marks
from flowdeck_store.connection import make_home
from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreTooNew
from flowdeck_store.flusher import Flusher
from flowdeck_store.intake import Intake
from flowdeck_store.journal import Journal
from flowdeck_store.link import StoreLink
from flowdeck_store.paths import StorePaths
from flowdeck_store.recall import Recall
from flowdeck_store.trouble import Troubles
from flowdeck_store.tuning import DEFAULT, Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flowdeck_store.events import Event

_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


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

    ``emit(event)`` takes an event in about a microsecond and never waits for a file; after
    :meth:`close`, and in a forked child, events are ignored.
    """

    emit: Callable[[Event], None]
    emit_many: Callable[[Sequence[Event]], None]

    def __init__(
        self, paths: StorePaths, identity: identities.Identity, mark: marks.Mark,
        journal: Journal, on_warning: Callable[[str], None], tuning: Tuning,
    ) -> None:  # fmt: skip
        """Internal: use :meth:`open`."""
        self.uid = identity.uid
        self._paths, self._mark, self._journal = paths, mark, journal
        self._pid = os.getpid()
        self._troubles = Troubles(paths, on_warning, tuning.lock_patience)
        self._link = StoreLink(paths, identity, tuning)
        self._intake = Intake(
            journal,
            wake=lambda: self._flusher.wake.set(),
            on_cache=lambda event: None,
            queue_cap=tuning.queue_cap,
            quota=tuning.journal_quota,
        )
        self._flusher = Flusher(
            self._intake, journal, self._link, Recall(lambda event: None), self._troubles, tuning,
            self._tick,
        )  # fmt: skip
        self.emit = self._intake.append
        self.emit_many = self._intake.append_many
        self._closed = False

    @classmethod
    def open(
        cls, home: Path, *, version: str, on_warning: Callable[[str], None],
        on_control: Callable[[object], None] | None = None, tuning: Tuning = DEFAULT,
    ) -> Session:  # fmt: skip
        """Begin to record this process in the store below ``home``.

        Creates what is missing (folder 0700, files 0600).

        Args:
            home: the folder of the store.
            version: of the program that records, noted in the store.
            on_warning: gets one line for the user when the store cannot be written, and one when
                it can again. Called on any thread.
            on_control: gets the requests of other processes to runs of this one, on the writer's
                thread.
            tuning: figures, for tests.

        Raises:
            StoreUnwritable: the home folder cannot be created.
            StoreCorrupt: the file is no store.
            StoreTooNew: a newer flowdeck wrote it.
        """
        paths = StorePaths(home)
        make_home(paths)
        identity = identities.of_this_process(version)
        mark = marks.hold(paths.locks, identity.uid)
        journal = Journal(paths.journal, identity.uid, identity.as_dict(), tuning.segment_bytes)
        session = cls(paths, identity, mark, journal, on_warning, tuning)
        try:
            session._begin()
        except BaseException:
            journal.close(delete=True)
            mark.release(delete=True)
            raise
        return session

    def _begin(self) -> None:
        try:
            self._flusher.attach()
        except (StoreCorrupt, StoreTooNew):
            raise
        except (StoreBusy, sqlite3.Error, OSError) as error:
            self._flusher.failed(error)
        self._flusher.start()
        _sessions.add(self)

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Wait until everything emitted so far is committed; say whether it is."""
        return self._flusher.flush(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """End the session: commit what is left, stop the thread.

        Returns:
            Whether everything is in the store. If not, it stays in the journal for the next
            flowdeck process.
        """
        if self._closed:
            return True
        self._closed = True
        deadline = time.monotonic() + timeout
        self._intake.close()
        done = self._flusher.flush(timeout)
        stopped = self._flusher.stop(max(0.1, deadline - time.monotonic()))
        if stopped:
            self._journal.close(delete=done)
        self._mark.release(delete=done)
        _sessions.discard(self)
        return done

    def run_number(self, uid: str) -> int | None:
        """Return the number of a flow run, once the store has given it one (after a flush)."""
        return self._link.ingester.known.runs.get(uid) if self._link.attached else None

    def statistics(self) -> Statistics:
        """Return figures of this moment."""
        return Statistics(
            emitted=self._intake.emitted,
            applied=self._flusher.applied,
            flushes=self._flusher.flushes,
            backlog=self._flusher.backlog,
            dropped=self._intake.dropped,
            rejected=self._link.ingester.rejected if self._link.attached else 0,
            healthy=self._troubles.kind is None,
        )

    def _tick(self, conn: sqlite3.Connection) -> None:
        pass


def _close_all() -> None:
    for session in list(_sessions):
        session.close()


atexit.register(_close_all)
