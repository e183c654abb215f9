"""What keeps screens current: one thread that watches the store and posts coalesced messages.

The thread only asks "has anything changed?" and which runs it was; the visible screen then asks for
its own window, elsewhere. The question is cheap (tens of microseconds: a pragma of SQLite's that sees
what other processes have committed), so asking is as good as being told, and nobody has to tell: no
run needs to know who looks at it, and there is no socket or server that could be gone. While nothing
happens the thread asks twice a second, while somebody watches a live run twenty times.

What it posts is coalesced: a burst of news is one message, hidden screens get none and catch up when
they appear, and more than :data:`MOST` changes are not read but are news of "any run". The thread
never reads rows, so it cannot fall behind.

It also looks after runs whose process is gone, with little patience for a locked record: an app that
is open is often the only process of flowdeck that is left to notice.
"""

from __future__ import annotations

import contextlib
import enum
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from textual.message import Message

from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreError, StoreTooNew
from flowdeck_store.file import left_behind
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.feed import Changes, Cursor, Feed
from flowdeck_store.upkeep.liveness import recover

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAST: Final = 0.05  # seconds between two looks while a visible run is live
SLOW: Final = 0.5  # otherwise
LINGER: Final = 3.0  # seconds of fast looks after a change
STALE: Final = 2.0  # seconds without an answer until the view counts as stale
LOOK_AFTER: Final = 2.0  # seconds between looks for runs whose process is gone
PATIENCE: Final = 0.2  # seconds that such a look waits for a record that somebody has locked
MOST: Final = 300  # changes looked at to learn which runs they belong to; more are "any run"


class Health(enum.Enum):
    """How the record answers; the value is the word in the breadcrumb."""

    LIVE = "live"
    STALE = "stale"
    READ_ONLY = "read-only"
    MISSING = "no record yet"
    CORRUPT = "damaged"
    NEWER = "newer version"


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The state of the store for breadcrumb and messages.

    Attributes:
        health: one word.
        message: what happened, where, and what to do; empty while all is well.
        since: when it began, by ``time.monotonic``.
    """

    health: Health
    message: str = ""
    since: float = 0.0

    def text(self, now: float) -> str:
        """Return what the breadcrumb says: ``live``, ``stale 12s``."""
        if self.health is Health.STALE:
            return f"stale {max(0, int(now - self.since))}s"
        return str(self.health.value)


class StoreChanged(Message):
    """The record has changed. A burst is delivered as one message.

    Attributes:
        run_ids: numbers of the runs that changed; empty means "any".
        reset: the file was replaced: forget everything.
    """

    def __init__(self, run_ids: frozenset[int] = frozenset(), *, reset: bool = False) -> None:
        super().__init__()
        self.run_ids, self.reset = run_ids, reset

    def can_replace(self, message: Message) -> bool:
        """Take the place of a waiting message about the same runs (or any)."""
        return (
            isinstance(message, StoreChanged)
            and (not message.reset or self.reset)
            and (not self.run_ids or message.run_ids == self.run_ids)
        )

    def touches(self, run_id: int) -> bool:
        """Say whether a run may have changed."""
        return self.reset or not self.run_ids or run_id in self.run_ids


class HealthChanged(Message):
    """The store answers differently than before."""

    def __init__(self, store: StoreHealth) -> None:
        super().__init__()
        self.store = store

    def can_replace(self, message: Message) -> bool:
        """Only the present state counts."""
        return isinstance(message, HealthChanged)


class Watcher(Protocol):
    """What the thread needs of :class:`flowdeck_store.read.feed.Feed`; tests give a fake."""

    def poll(self) -> bool:
        """Say whether anything changed since the last call."""

    def start(self) -> Cursor:
        """Return the cursor behind everything there is."""

    def changes(self, cursor: Cursor, run_id: int | None = None, limit: int = 2000) -> Changes:
        """Return what was written behind a cursor."""

    def close(self) -> None:
        """Close the connection."""


def has_record(home: Path) -> bool:
    """Say whether there is a record; a file with nothing in it is none yet."""
    try:
        return StorePaths(home).db.stat().st_size > 0
    except OSError:
        return False


class LiveFeed:
    """The watching thread.

    Args:
        home: flowdeck's home folder.
        post: where messages go (``App.post_message``, thread-safe).
        open_feed: how to open the feed; replaced in tests.
        monotonic: clock in seconds; replaced in tests.
    """

    def __init__(
        self,
        home: Path,
        post: Callable[[Message], object],
        *,
        open_feed: Callable[[Path], Watcher] = Feed,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._post = home, post
        self._open, self._monotonic = open_feed, monotonic
        self._feed: Watcher | None = None
        self._cursor: Cursor | None = None
        self._wake = threading.Event()
        self._ended = False
        self._eager = False
        self._changed_at = float("-inf")
        self._answered_at = monotonic()
        self._looked_after = float("-inf")
        self.store = StoreHealth(Health.LIVE)
        self._thread = threading.Thread(target=self._watch, name="flowdeck-feed", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close its connection."""
        self._ended = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def set_eager(self, eager: bool) -> None:
        """Say whether a visible run is live: then changes are looked for often."""
        if eager and not self._eager:
            self._wake.set()
        self._eager = eager

    def check_soon(self) -> None:
        """Look now (the app itself has just changed something)."""
        self._changed_at = self._monotonic()
        self._wake.set()

    def check_stale(self) -> None:
        """Notice a store that does not answer at all; called by the app's clock."""
        silent = self._monotonic() - self._answered_at
        if silent > STALE + SLOW and self.store.health is Health.LIVE:
            self._report(Health.STALE, "The store does not answer.", since=self._answered_at)

    @property
    def interval(self) -> float:
        """Seconds until the next look."""
        recent = self._monotonic() - self._changed_at < LINGER
        return FAST if self._eager or recent else SLOW

    def _watch(self) -> None:
        while not self._ended:
            self.check_record()
            self.look_after_dead()
            self._wake.wait(self.interval)
            self._wake.clear()
        self._close()

    def check_record(self) -> None:
        """Look once and post what there is to say (the thread's work; tests call it)."""
        try:
            if self._feed is None:
                self._feed = self._open(self._home)
            changes = self._changes(self._feed) if self._feed.poll() else None
        except StoreTooNew as error:
            self._trouble(Health.NEWER, str(error))
        except StoreCorrupt as error:
            self._trouble(Health.CORRUPT, str(error))
        except (StoreBusy, sqlite3.OperationalError) as error:
            self._silent(str(error))
        except (StoreError, sqlite3.Error, OSError) as error:
            self._trouble(Health.CORRUPT, str(error))
        else:
            self._answered(changes)

    def look_after_dead(self) -> None:
        """Now and then: end runs whose process is gone, or learn that this is not possible now."""
        now = self._monotonic()
        answers = self.store.health in {Health.LIVE, Health.READ_ONLY}
        if now - self._looked_after < LOOK_AFTER or not answers or not has_record(self._home):
            return
        self._looked_after = now
        before = left_behind.left_in(self._home)
        with contextlib.suppress(StoreError, sqlite3.Error, OSError):
            recover(self._home, lambda: self._ended, PATIENCE)
        if left_behind.left_in(self._home) != before:
            self._post(StoreChanged())  # they are shown as dead, or no longer so

    def _changes(self, feed: Watcher) -> Changes:
        """Learn which runs changed, without reading all of a flood."""
        if self._cursor is None:
            self._cursor = feed.start()
            return Changes((), (), frozenset(), self._cursor)
        found = feed.changes(self._cursor, limit=MOST)
        self._cursor = feed.start() if found.more else found.cursor
        return found

    def _answered(self, changes: Changes | None) -> None:
        self._answered_at = self._monotonic()
        self._report(self._state_of_file())
        if changes is not None:
            self._changed_at = self._answered_at
            run_ids = frozenset() if changes.more else changes.run_ids
            self._post(StoreChanged(run_ids, reset=changes.reset))

    def _state_of_file(self) -> Health:
        if not has_record(self._home):
            return Health.MISSING
        writable = StorePaths(self._home).db.stat().st_mode & 0o222
        return Health.LIVE if writable else Health.READ_ONLY

    def _silent(self, reason: str) -> None:
        """The store is busy: stale after a while, without a word before."""
        if self._monotonic() - self._answered_at > STALE:
            self._report(Health.STALE, reason, since=self._answered_at)

    def _trouble(self, health: Health, message: str) -> None:
        self._close()
        self._report(health, message)

    def _report(self, health: Health, message: str = "", *, since: float | None = None) -> None:
        if health is self.store.health and message == self.store.message:
            return
        began = self._monotonic() if since is None else since
        self.store = StoreHealth(health, message, began)
        self._post(HealthChanged(self.store))

    def _close(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None
