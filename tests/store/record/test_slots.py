"""Limits by tag hold over all processes of a store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.record.limits import Limit, LimitZero, list_limits, set_limit
from store_writing import finish, recording, rows, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path

UID = "c" * 32
TAKE = """
import os, sys; from pathlib import Path; from flowdeck_store.session import RecordingSession
session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)
uid = os.urandom(16).hex()
for no in range(1, 41):
    while session.acquire_slots(['db'], uid, no):
        pass
    print('+', flush=False)
    held = session._services.door
    with held.reading() as conn:
        print(conn.execute("SELECT count(*) FROM slots WHERE tag='db'").fetchone()[0])
    session.release_slots(uid, no)
session.close()
"""


def test_limits_are_set_changed_listed_and_removed(home: Path) -> None:
    assert list_limits(home) == []
    set_limit(home, "db", 3)
    set_limit(home, "api", 1)
    set_limit(home, "db", 2)
    assert list_limits(home) == [Limit("api", 1, 0), Limit("db", 2, 0)]
    set_limit(home, "api", None)
    assert list_limits(home) == [Limit("db", 2, 0)]
    with pytest.raises(ValueError, match="from 0 on"):
        set_limit(home, "db", -1)


def test_all_slots_are_taken_or_none(home: Path) -> None:
    set_limit(home, "db", 2)
    set_limit(home, "api", 1)
    with recording(home) as session:
        assert session.acquire_slots(["db", "api", "free"], UID, 1) == ()
        assert session.acquire_slots(["db", "api"], UID, 2) == ("api",)
        assert session.acquire_slots(["db"], UID, 3) == ()
        assert session.acquire_slots(["db", "api"], UID, 4) == ("api", "db")
        assert session.acquire_slots(["free"], UID, 5) == ()
        assert list_limits(home) == [Limit("api", 1, 1), Limit("db", 2, 2)]
        session.release_slots(UID, 1)
        assert session.acquire_slots(["db", "api"], UID, 4) == ()
        assert session.acquire_slots(["db", "api"], UID, 4) == ()  # it has them already
    assert list_limits(home) == [Limit("api", 1, 0), Limit("db", 2, 0)]


def test_a_limit_of_zero_is_an_error_not_an_endless_wait(home: Path) -> None:
    set_limit(home, "db", 0)
    with recording(home) as session, pytest.raises(LimitZero, match="'db'") as caught:
        session.acquire_slots(["db"], UID, 1)
    assert caught.value.tag == "db"


def test_a_session_notices_limits_that_others_set(home: Path) -> None:
    with recording(home) as session:
        assert not session.limited_tags()
        set_limit(home, "db", 1)
        wait_until(session.limited_tags, "noticed")
        set_limit(home, "db", None)
        wait_until(lambda: not session.limited_tags(), "noticed")


def test_a_limit_holds_over_processes(home: Path) -> None:
    set_limit(home, "db", 2)
    processes = [start(TAKE, home) for _ in range(3)]
    printed = Counter(line for p in processes for line in finish(p).split())
    assert printed["+"] == 120
    assert set(printed) <= {"+", "1", "2"}
    assert rows(home, "SELECT * FROM slots") == []


def test_slots_of_a_killed_process_are_free_again(home: Path) -> None:
    set_limit(home, "db", 1)
    code = (
        "import sys; from pathlib import Path; from flowdeck_store.session import RecordingSession\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)\n"
        "print(session.acquire_slots(['db'], 'd' * 32, 1), flush=True); sys.stdin.readline()"
    )
    process = start(code, home)
    assert process.stdout is not None
    assert process.stdout.readline() == "()\n"
    with recording(home) as session:
        assert session.acquire_slots(["db"], UID, 1) == ("db",)
        process.kill()
        process.communicate()
        # The session's own recovery may be at it: then the slot is free a moment later.
        wait_until(lambda: session.acquire_slots(["db"], UID, 1) == (), "free")
