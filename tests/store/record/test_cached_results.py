"""Cache keys are found as soon as they are emitted, by this process and by others."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from flowdeck_store import events as ev
from flowdeck_store.record.cache import CacheHit
from store_writing import QUICK, Recorded, recording, wait_until

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000


def test_a_key_is_found_before_and_after_it_is_stored(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        assert session.cached("key", NOW) is None
        with session._store_file.write_lock.hold():  # nothing can be stored meanwhile
            session.emit(ev.cache(run.uid, 1, 500, "key", None, "file"))
            assert session.cached("key", NOW) == CacheHit("key", 500, None, "file", None)
        assert session.flush()
        assert session.cached("key", NOW) == CacheHit("key", 500, None, "file", 1 << 24 | 1)
        run.end()


def test_the_newest_wins_whether_stored_or_not(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        session.emit(ev.cache(run.uid, 1, 500, "key", None, "old"))
        session.flush()
        session.emit(ev.cache(run.uid, 1, 600, "key", None, "new"))
        hit = session.cached("key", NOW)
        assert hit is not None
        assert hit.location == "new"
        session.flush()
        hit = session.cached("key", NOW)
        assert hit is not None
        assert hit.location == "new"
        run.end()


def test_an_expired_result_is_not_found(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().task(1)
        for flush in (False, True):
            session.emit(ev.cache(run.uid, 1, 500, "key", NOW, "file"))
            if flush:
                session.flush()
            assert session.cached("key", NOW - 1) is not None
            assert session.cached("key", NOW) is None
        run.end()


def test_other_sessions_find_it_too(home: Path) -> None:
    with recording(home) as first, recording(home) as second:
        run = Recorded(first.emit).run().task(1)
        assert second.cached("key", NOW) is None
        first.emit(ev.cache(run.uid, 1, 500, "key", None, "file"))
        assert first.flush()
        wait_until(lambda: second.cached("key", NOW), "found")
        run.end()


def test_a_store_that_cannot_be_read_is_an_empty_cache(home: Path) -> None:
    warnings: list[str] = []
    with recording(home):
        pass
    lock = sqlite3.connect(home / "flowdeck.db", isolation_level=None)
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    try:
        with recording(home, warnings, tuning=QUICK) as session:
            assert session.cached("key", NOW) is None
            session.close(timeout=0.1)
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert len(warnings) <= 1
