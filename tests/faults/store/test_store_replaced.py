"""The store is deleted or replaced while a process records into it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.record.tuning import Tuning
from flowdeck_store.states import COMPLETED, RUNNING
from flowdeck_store.upkeep.liveness import is_alive, recover
from store_writing import (
    Recorded,
    finish,
    numbered_lines,
    one,
    private_home,
    recording,
    rows,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


SMALL = Tuning(segment_bytes=65_536, tick=0.02, busy=0.2, backoff=0.05)


def remove_store(home: Path) -> None:
    for file in home.glob("flowdeck.db*"):
        file.unlink()


def test_a_deleted_store_is_made_again_with_all_that_the_journal_has(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run().task(1).state(1, RUNNING)
        for number in range(100):
            run.log(str(number))
        assert session.flush()
        remove_store(home)
        for number in range(100, 200):
            run.log(str(number))
        run.state(1, COMPLETED).end()
        assert session.flush(20)
    assert numbered_lines(home) == list(range(200))
    assert rows(home, "SELECT state,n_logs,n_completed FROM flow_runs") == [(COMPLETED, 200, 1)]
    assert rows(home, "SELECT how FROM sessions") == [("closed",)]
    assert len(warnings) == 1
    assert "deleted or replaced" in warnings[0]


def test_a_flush_never_says_yes_to_a_deleted_store(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings, tuning=Tuning(tick=60)) as session:
        run = Recorded(session.emit).run()
        assert session.flush()
        for number in range(5):
            remove_store(home)
            run.log(str(number))
            assert session.flush(20)
            assert numbered_lines(home) == list(range(number + 1))
        run.end()


def test_a_store_that_is_deleted_late_in_a_long_run_knows_the_run_and_what_follows(
    home: Path,
) -> None:
    warnings: list[str] = []
    with recording(home, warnings, tuning=SMALL) as session:
        run = Recorded(session.emit).run("long", params='{"a":1}')
        for number in range(10_000):
            run.log(str(number))
        assert session.flush()
        wait_until(lambda: session._journal.first > 5000, "the start of the journal is used again")
        remove_store(home)
        run.task(1).log("10000")
        session.emit(ev.failure(run.uid, 1, 5, 1, "E", "m", "{}", "{}"))
        assert session.flush(20)
        assert rows(home, "SELECT name,params,state FROM flow_runs") == [
            ("long", '{"a":1}', RUNNING)
        ]
        assert rows(home, "SELECT name,retries FROM tasks") == [("load", 3)]
        lines = numbered_lines(home)
        assert lines == list(range(lines[0], 10_001))
        assert one(home, "SELECT count(*) FROM tracebacks") == 1
        run.end()
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED


def test_a_deleted_home_is_made_again(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        for number in range(10):
            run.log(str(number))
        assert session.flush()
        shutil.rmtree(home)
        run.log("10").end()
        assert session.flush(20)
        assert numbered_lines(home) == list(range(11))
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED


def test_after_its_home_was_deleted_a_session_still_counts_as_alive_and_is_safe_from_a_kill(
    home: Path,
) -> None:
    code = (
        "import os, shutil, sys; from pathlib import Path; from store_writing import *\n"
        "home = Path(sys.argv[1])\n"
        "session = RecordingSession.open(home, version='t', on_warning=lambda text: None, tuning=QUICK)\n"
        "run = Recorded(session.emit).run().log('0'); session.flush()\n"
        "shutil.rmtree(home); run.log('1'); assert session.flush(20)\n"
        "print(session.uid, flush=True); sys.stdin.readline()\n"
        "held = session._store_file.write_lock.hold(); held.__enter__()\n"
        "run.log('2'); os.kill(os.getpid(), 9)"
    )
    process = start(code, home)
    assert process.stdout is not None
    uid = process.stdout.readline().strip()
    assert is_alive(home, uid)
    assert recover(home) == []
    process.communicate("go\n")
    assert len(recover(home)) == 1
    assert numbered_lines(home) == [0, 1, 2]


def test_a_store_replaced_by_an_older_copy_gets_what_it_lacks_exactly_once(
    home: Path, tmp_path: Path
) -> None:
    copy = (
        "import sqlite3, sys\nsqlite3.connect(sys.argv[1]).execute('VACUUM INTO ?', (sys.argv[2],))"
    )
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        for number in range(100):
            run.log(str(number))
        assert session.flush()
        finish(start(copy, home / "flowdeck.db", tmp_path / "copy.db"))
        for number in range(100, 150):
            run.log(str(number))
        assert session.flush()
        remove_store(home)
        shutil.move(tmp_path / "copy.db", home / "flowdeck.db")
        run.log("150").end()
        assert session.flush(20)
    assert numbered_lines(home) == list(range(151))
    assert rows(home, "SELECT n_logs,state FROM flow_runs") == [(151, COMPLETED)]


def test_a_store_replaced_by_that_of_another_home_gets_this_run_too(
    home: Path, tmp_path: Path
) -> None:
    with recording(tmp_path / "other") as session:
        Recorded(session.emit).run("theirs").end()
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run("ours").log("0")
        assert session.flush()
        remove_store(home)
        shutil.copy(tmp_path / "other" / "flowdeck.db", home / "flowdeck.db")
        run.log("1").end()
        assert session.flush(20)
    assert rows(home, "SELECT name,state,n_logs FROM flow_runs ORDER BY id") == [
        ("theirs", COMPLETED, 0), ("ours", COMPLETED, 2)
    ]  # fmt: skip


def test_a_deleted_write_ahead_log_is_noticed(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run().log("0")
        assert session.flush()
        (home / "flowdeck.db-wal").unlink()
        run.log("1").end()
        assert session.flush(20)
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert numbered_lines(home) == [0, 1]
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED


def test_limits_and_the_cache_follow_to_the_new_store(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run().task(1)
        session.emit(ev.cache(run.uid, 1, 500, "key", None, "file"))
        assert session.flush()
        assert session.cached("key", 0) is not None
        remove_store(home)
        run.end()
        assert session.flush(20)
        assert session.cached("key", 0) is not None  # it was still in the journal
        assert session.acquire_slots(["db"], run.uid, 1) == ()
