"""The feed thread: when it looks, what it says, how trouble is told."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_app import live
from flowdeck_app.live import Health, HealthChanged, LiveFeed, StoreChanged, StoreHealth
from flowdeck_store.errors import StoreBusy, StoreCorrupt, StoreTooNew
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.read.feed import Changes, Cursor
from flowdeck_store.read.reader import Reader
from store_writing import locked, start

if TYPE_CHECKING:
    from textual.message import Message


class FakeFeed:
    """A feed that answers what the test says."""

    def __init__(self) -> None:
        self.changed = False
        self.error: Exception | None = None
        self.found = Changes((), (), frozenset(), Cursor("s", 1, 1))
        self.closed = 0

    def poll(self) -> bool:
        if self.error is not None:
            raise self.error
        changed, self.changed = self.changed, False
        return changed

    def start(self) -> Cursor:
        return Cursor("s", 0, 0)

    def changes(self, cursor: Cursor, run_id: int | None = None, limit: int = 2000) -> Changes:
        return self.found

    def close(self) -> None:
        self.closed += 1


class Setup:
    """A feed without its thread, a clock that the test moves, and what was posted."""

    def __init__(self, home: Path) -> None:
        self.feed, self.now = FakeFeed(), 100.0
        self.posted: list[Message] = []
        self.live = LiveFeed(
            home, self.posted.append, open_feed=lambda _: self.feed, monotonic=lambda: self.now
        )

    def look(self) -> list[Message]:
        self.posted.clear()
        self.live.check_record()
        return list(self.posted)


@pytest.fixture
def setup(home: Path) -> Setup:
    home.mkdir()
    StorePaths(home).db.write_bytes(b"a record")
    return Setup(home)


def test_nothing_is_said_while_nothing_happens(setup: Setup) -> None:
    assert setup.look() == []


def test_a_change_says_which_runs(setup: Setup) -> None:
    setup.feed.changed = True
    setup.look()
    setup.feed.changed = True
    setup.feed.found = Changes((), (), frozenset({7}), Cursor("s", 2, 2))
    (message,) = setup.look()
    assert isinstance(message, StoreChanged)
    assert message.touches(7)
    assert not message.touches(8)


def test_a_flood_is_any_run(setup: Setup) -> None:
    setup.feed.changed = True
    setup.look()
    setup.feed.changed = True
    setup.feed.found = Changes((), (), frozenset({7}), Cursor("s", 2, 2), more=True)
    (message,) = setup.look()
    assert isinstance(message, StoreChanged)
    assert message.touches(8)


def test_waiting_messages_are_joined_only_where_nothing_is_lost() -> None:
    some, other, any_run = (StoreChanged(frozenset(ids)) for ids in ({1}, {2}, ()))
    assert any_run.can_replace(some)
    assert some.can_replace(StoreChanged(frozenset({1})))
    assert not some.can_replace(other)
    assert not some.can_replace(any_run)
    assert not any_run.can_replace(StoreChanged(reset=True))
    assert StoreChanged(reset=True).can_replace(any_run)


def test_it_looks_often_only_when_somebody_watches_or_something_has_happened(setup: Setup) -> None:
    assert setup.live.interval == live.SLOW
    setup.live.set_eager(True)
    assert setup.live.interval == live.FAST
    setup.live.set_eager(False)
    setup.feed.changed = True
    setup.look()
    assert setup.live.interval == live.FAST
    setup.now += live.LINGER
    assert setup.live.interval == live.SLOW
    setup.live.check_soon()
    assert setup.live.interval == live.FAST


def health(messages: list[Message]) -> list[Health]:
    return [m.store.health for m in messages if isinstance(m, HealthChanged)]


def test_a_busy_store_is_stale_only_after_a_while_and_live_again_at_once(setup: Setup) -> None:
    setup.feed.error = StoreBusy("locked")
    assert setup.look() == []
    setup.now += 5
    assert health(setup.look()) == [Health.STALE]
    assert setup.live.store.text(setup.now + 7) == "stale 12s"
    assert setup.look() == []
    setup.feed.error = None
    assert health(setup.look()) == [Health.LIVE]


def test_a_locked_file_is_busy_too(setup: Setup) -> None:
    setup.now += 5
    setup.feed.error = sqlite3.OperationalError("database is locked")
    assert health(setup.look()) == [Health.STALE]


def test_a_thread_that_hangs_is_noticed_from_outside(setup: Setup) -> None:
    setup.live.check_stale()
    assert setup.posted == []
    setup.now += 10
    setup.live.check_stale()
    assert health(setup.posted) == [Health.STALE]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreCorrupt(Path("x.db"), "not a database"), Health.CORRUPT),
        (StoreTooNew(Path("x.db"), 9, 1), Health.NEWER),
        (sqlite3.DatabaseError("malformed"), Health.CORRUPT),
    ],
)
def test_a_store_that_cannot_be_read_says_why_and_is_opened_anew(
    setup: Setup, error: Exception, expected: Health
) -> None:
    setup.look()
    setup.feed.error = error
    (message,) = setup.look()
    assert isinstance(message, HealthChanged)
    assert message.store.health is expected
    assert str(error) in message.store.message
    assert setup.feed.closed == 1
    setup.feed.error = None
    assert health(setup.look()) == [Health.LIVE]


def test_a_missing_and_a_read_only_store_are_told(setup: Setup, home: Path) -> None:
    db = StorePaths(home).db
    db.chmod(0o400)
    assert health(setup.look()) == [Health.READ_ONLY]
    db.unlink()
    assert health(setup.look()) == [Health.MISSING]


def test_words_of_the_breadcrumb() -> None:
    assert StoreHealth(Health.LIVE).text(0) == "live"
    assert StoreHealth(Health.STALE, "", 5.0).text(17.5) == "stale 12s"


def test_the_thread_looks_and_ends(home: Path) -> None:
    import threading

    home.mkdir()
    seen = threading.Event()
    feed = FakeFeed()
    feed.changed = True
    watching = LiveFeed(home, lambda message: seen.set(), open_feed=lambda _: feed)
    watching.start()
    assert seen.wait(10)
    watching.stop()
    assert feed.closed == 1
    assert not watching._thread.is_alive()


def test_a_run_whose_process_dies_while_it_is_looked_at_is_marked(home: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from store_writing import *\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print, tuning=QUICK)\n"
        "Recorded(session.emit).run(); session.flush(); print('on', flush=True); input()\n"
        "os.kill(os.getpid(), 9)"
    )
    process = start(code, home)
    assert process.stdout is not None
    process.stdout.readline()
    posted: list[Any] = []
    now = [0.0]
    feed = LiveFeed(home, posted.append, monotonic=lambda: now[0])
    feed.check_record()
    feed.look_after_dead()
    process.communicate("die\n")
    with locked(home):
        now[0] += 60
        posted.clear()
        feed.look_after_dead()
        assert [type(message) for message in posted] == [StoreChanged]
        with Reader.open(home) as reader:
            assert reader.runs()[0].state == "Dead"
    now[0] += 60
    feed.look_after_dead()
    with Reader.open(home) as reader:
        assert reader.runs()[0].state == "Crashed"
    feed.stop()
