"""The store is locked by another program for longer than anybody waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.liveness import recover
from store_writing import (
    Recorded,
    locked,
    numbered_lines,
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


def test_events_wait_in_the_journal_and_the_user_is_told_once_and_when_it_is_over(
    home: Path,
) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        assert session.flush()
        with locked(home):
            slowest = 0.0
            for number in range(500):
                began = time.perf_counter()
                run.log(str(number))
                slowest = max(slowest, time.perf_counter() - began)
            assert not session.flush(0.05)
            wait_until(lambda: warnings, "a warning")
            assert not session.statistics().healthy
            run.log("500")
            assert not session.flush(0.8)
            assert session.statistics().backlog == 501
        assert session.flush(20)
        wait_until(lambda: len(warnings) == 2, "the end of the trouble")
        assert session.statistics().healthy
        run.end()
    assert numbered_lines(home) == list(range(501))
    assert "locked by another program" in warnings[0]
    assert "Nothing is lost" in warnings[0]
    assert str(StorePaths(home).journal) in warnings[0]
    assert "can be written again" in warnings[1]
    assert len(warnings) == 2
    assert slowest < 0.2  # emitting never waits for the lock


def test_a_short_lock_is_not_worth_a_word(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        session.flush()
        with locked(home):
            run.log("0")
            session.flush(0.02)
        run.end()
        assert session.flush(20)
    assert numbered_lines(home) == [0]


def test_a_store_that_is_locked_when_a_session_opens_is_no_error(home: Path) -> None:
    with recording(home):
        pass
    warnings: list[str] = []
    with recording(home, warnings) as session:
        with locked(home):
            run = Recorded(session.emit).run()
            for number in range(100):
                run.log(str(number))
            assert not session.flush(0.5)
        run.end()
        assert session.flush(20)
    assert numbered_lines(home) == list(range(100))


def test_what_is_left_at_the_end_of_the_process_is_recorded_by_the_next(home: Path) -> None:
    with recording(home):
        pass
    warnings: list[str] = []
    with locked(home), recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        for number in range(100):
            run.log(str(number))
        run.end()
        began = time.monotonic()
        assert not session.close(timeout=0.6)
        assert time.monotonic() - began < 3
    assert len(warnings) == 1
    assert numbered_lines(home) == []
    with recording(home):
        wait_until(lambda: numbered_lines(home) == list(range(100)), "replayed")
    assert rows(home, "SELECT state FROM flow_runs") == [(COMPLETED,)]
    assert recover(home) == []
    assert numbered_lines(home) == list(range(100))


def test_more_events_than_memory_may_hold_are_read_back_from_the_journal(home: Path) -> None:
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        session.flush()
        with locked(home):
            for number in range(70_000):
                run.log(str(number))
            assert len(session._intake._queue) <= 50_000
        assert session.flush(40)
        run.end()
    assert numbered_lines(home) == list(range(70_000))


def test_a_stopped_holder_of_the_gate_is_named(home: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from flowdeck_store.file.write_lock import write_lock_of\n"
        "with write_lock_of(Path(sys.argv[1])).hold():\n"
        "    print('held', flush=True); sys.stdin.readline()"
    )
    warnings: list[str] = []
    with recording(home, warnings) as session:
        run = Recorded(session.emit).run()
        session.flush()
        process = start(hold, StorePaths(home).write_lock)
        assert process.stdout is not None
        process.stdout.readline()
        run.log("0")
        assert not session.flush(0.3)
        assert f"process {process.pid}" in warnings[0]
        assert write_lock_of(StorePaths(home).write_lock).holder() == process.pid
        process.communicate("go\n")
        assert session.flush(20)
        run.end()
    assert numbered_lines(home) == [0]
    assert len(warnings) == 2
