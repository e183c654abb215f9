"""A recording session from open to close."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.errors import StoreCorrupt, StoreTooNew, StoreUnwritable
from flowdeck_store.record.tuning import Tuning
from flowdeck_store.session import RecordingSession
from flowdeck_store.states import COMPLETED, CRASHED, PENDING, RUNNING
from store_writing import QUICK, Recorded, finish, one, recording, rows, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path


SESSION_THREADS = {"flowdeck-writer", "flowdeck-recovery"}


def files(home: Path) -> set[str]:
    return {f.relative_to(home).as_posix() for f in home.rglob("*") if f.is_file()}


def writer_threads() -> list[str]:
    """The threads that sessions start; others of ours may be left by earlier tests."""
    return [t.name for t in threading.enumerate() if t.name in SESSION_THREADS]


def test_after_a_flush_everything_is_visible_to_others(home: Path) -> None:
    with recording(home) as session:
        for number in range(50):
            run = Recorded(session.emit).run(f"run {number}").log("hello")
            assert session.flush()
            assert one(home, "SELECT n_logs FROM flow_runs WHERE uid=?", run.uid) == 1


def test_without_a_flush_events_become_visible_by_themselves(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        wait_until(lambda: rows(home, "SELECT 1 FROM flow_runs WHERE state=?", RUNNING), "there")
        run.log("later")
        wait_until(lambda: rows(home, "SELECT 1 FROM logs"), "there")


def test_the_number_of_a_run_is_known_after_a_flush(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        assert session.flush()
        assert session.run_number(run.uid) == one(home, "SELECT id FROM flow_runs")
        assert session.run_number("0" * 32) is None


def test_closing_leaves_only_the_store_behind(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run().task(1).state(1, COMPLETED).end()
        assert any(name.startswith("journal/") for name in files(home))
        assert session.close()
        assert session.close()  # again, harmless
    assert writer_threads() == []
    assert files(home) == {"flowdeck.db", "flowdeck.db.lock"}
    assert rows(home, "SELECT how,ended_us>=started_us,version FROM sessions") == [
        ("closed", 1, "test")
    ]


def test_events_after_close_are_ignored(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().end()
    run.log("too late")
    assert session.flush()
    assert one(home, "SELECT count(*) FROM logs") == 0
    assert session.statistics().emitted == session.statistics().applied


def test_a_session_that_closes_with_open_runs_is_recovered_by_the_next(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run().task(1).state(1, RUNNING)
    assert one(home, "SELECT ended_us FROM sessions") is None
    with recording(home):
        wait_until(lambda: rows(home, "SELECT 1 FROM flow_runs WHERE state=?", CRASHED), "crashed")
    assert one(home, "SELECT how FROM sessions ORDER BY id LIMIT 1") == "crashed"


def test_two_sessions_of_one_process_do_not_disturb_each_other(home: Path) -> None:
    with recording(home) as first, recording(home) as second:
        for number in range(200):
            session = (first, second)[number % 2]
            Recorded(session.emit).run(f"run {number}").end()
        assert first.flush()
        assert second.flush()
        assert rows(home, "SELECT count(*),sum(ended_us IS NOT NULL) FROM flow_runs") == [
            (200, 200)
        ]


def test_threads_may_emit_at_once_and_keep_their_order(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()

        def work(level: int) -> None:
            for number in range(3000):
                session.emit(ev.log(run.uid, 0, number, level, "flow", str(number)))

        threads = [threading.Thread(target=work, args=(level,)) for level in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run.end()
        assert session.flush(30)
    for level in range(4):
        lines = rows(home, "SELECT msg FROM logs WHERE level=? ORDER BY seq", level)
        assert [int(msg) for (msg,) in lines] == list(range(3000))


def test_flushes_are_few_while_events_flow(home: Path) -> None:
    with recording(home, tuning=Tuning(interval=0.05)) as session:
        run = Recorded(session.emit).run()
        began = time.monotonic()
        while (passed := time.monotonic() - began) < 1.0:
            run.log("tick")
            time.sleep(0.001)
        flushes = session.statistics().flushes
        run.end()
    assert flushes <= passed / 0.05 + 2


def test_a_backlog_is_written_in_bounded_statements(home: Path) -> None:
    with recording(home, tuning=Tuning(max_events=100)) as session:
        run = Recorded(session.emit).run()
        for number in range(1000):
            run.log(str(number))
        assert session.flush(20)
        assert session.statistics().flushes >= 10
        run.end()


def test_a_long_run_uses_its_journal_files_again(home: Path) -> None:
    tuning = Tuning(segment_bytes=65_536, tick=0.01)
    with recording(home, tuning=tuning) as session:
        run = Recorded(session.emit).run()
        seen: set[str] = set()
        for number in range(20_000):
            run.log(f"line {number}")
            if number % 500 == 0:
                assert session.flush()
                seen |= {name for name in files(home) if name.startswith("journal/")}
        run.end()
    assert 2 <= len(seen) <= 6
    assert one(home, "SELECT count(DISTINCT msg) FROM logs") == 20_000


def test_the_write_ahead_log_stays_small(home: Path) -> None:
    with recording(home, tuning=Tuning(wal_bytes=200_000, tick=0.01)) as session:
        run = Recorded(session.emit).run()
        wal, largest = home / "flowdeck.db-wal", 0
        for number in range(20_000):
            run.log(f"line {number} " + "x" * 100)
            if number % 1000 == 999:
                assert session.flush()
                largest = max(largest, wal.stat().st_size)
        run.end()
        assert session.flush()
        wait_until(lambda: wal.stat().st_size < 400_000, "merged")
    assert largest < 3_000_000


def test_an_idle_session_gives_signs_of_life(home: Path) -> None:
    with recording(home, tuning=Tuning(beat=0.05, tick=0.02)):
        first = one(home, "SELECT beat_us FROM sessions")
        wait_until(lambda: one(home, "SELECT beat_us FROM sessions") > first, "a later beat")


def test_an_unclosed_session_is_closed_when_the_interpreter_ends(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from store_writing import Recorded\n"
        "from flowdeck_store.session import RecordingSession\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)\n"
        "Recorded(session.emit).run().log('last words').end()"
    )
    assert finish(start(code, home)) == ""
    assert files(home) == {"flowdeck.db", "flowdeck.db.lock"}
    assert rows(home, "SELECT how FROM sessions") == [("closed",)]
    assert rows(home, "SELECT state,n_logs FROM flow_runs") == [(COMPLETED, 1)]


def test_a_forked_child_records_nothing_into_its_parents_session(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().log("parent")
        child = os.fork()
        if child == 0:
            try:
                run.log("child")
                session.emit_many([ev.log(run.uid, 0, 5, 20, "flow", "child")] * 1000)
                ended = session.flush(5) and session.close()
                os._exit(0 if ended else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        run.log("parent again").end()
        assert session.flush()
        assert [m for (m,) in rows(home, "SELECT msg FROM logs")] == ["parent", "parent again"]


def test_a_forked_child_may_open_a_session_of_its_own(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run("of the parent")
        session.flush()
        child = os.fork()
        if child == 0:
            try:
                own = RecordingSession.open(home, version="child", on_warning=print, tuning=QUICK)
                Recorded(own.emit).run("of the child").end()
                os._exit(0 if own.close() else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        run.end()
        assert session.flush()
    assert rows(home, "SELECT name,state FROM flow_runs ORDER BY id") == [
        ("of the parent", COMPLETED), ("of the child", COMPLETED)
    ]  # fmt: skip


def test_a_run_that_another_process_recorded_is_adopted(home: Path) -> None:
    with recording(home) as first:
        run = Recorded(first.emit).run("old name", params='{"a":1}', info='{"cwd":"/","x":1}')
        first.flush()
        with recording(home) as second:
            again = Recorded(second.emit, run.uid).run("new name", runner="dask", info='{"x":2}')
            again.end()
            second.flush()
            number = one(home, "SELECT id FROM sessions WHERE uid=?", second.uid)
            assert rows(home, "SELECT session_id,name,runner,params,info FROM flow_runs") == [
                (number, "new name", "dask", '{"a":1}', '{"cwd":"/","x":2}')
            ]


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"garbage that is no database" * 100, StoreCorrupt), (None, StoreTooNew)],
)
def test_a_file_that_must_not_be_touched_is_refused_and_nothing_is_left_behind(
    home: Path, content: bytes | None, error: type[Exception]
) -> None:
    with recording(home):
        pass
    if content is None:
        with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
            conn.execute("PRAGMA user_version=99")
            conn.execute("UPDATE meta SET value=99 WHERE key='min_reader'")
            conn.commit()
    else:
        (home / "flowdeck.db").write_bytes(content)
    before = files(home)
    with pytest.raises(error), recording(home):
        pytest.fail("opened")
    assert files(home) == before
    assert writer_threads() == []


def test_a_home_is_refused_when_nothing_can_stand_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "file"))
    with pytest.raises(StoreUnwritable), recording(tmp_path / "file" / "home"):
        pytest.fail("opened")


def test_a_warning_that_fails_to_be_shown_harms_nothing(home: Path) -> None:
    def broken(text: str) -> None:
        raise RuntimeError(text)

    session = RecordingSession.open(home, version="t", on_warning=broken, tuning=QUICK)
    session._troubles.say("anything")
    Recorded(session.emit).run().end()
    assert session.close()


def test_the_initial_state_of_runs_and_tasks_is_in_the_history(home: Path) -> None:
    with recording(home) as session:
        Recorded(session.emit).run().task(1).end()
    assert rows(home, "SELECT task_no,state FROM states ORDER BY seq") == [
        (0, PENDING), (0, RUNNING), (1, PENDING), (0, COMPLETED)
    ]  # fmt: skip


def test_a_session_whose_row_was_deleted_registers_again(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run().log("0")
        assert session.flush()
        with closing(sqlite3.connect(home / "flowdeck.db")) as conn, conn:
            for table in ("sessions", "flow_runs", "states", "logs"):
                conn.execute(f"DELETE FROM {table}")
        run.log("1").end()
        assert session.flush(20)
    assert [m for (m,) in rows(home, "SELECT msg FROM logs ORDER BY seq")] == ["0", "1"]
    assert rows(home, "SELECT state,n_logs FROM flow_runs") == [(COMPLETED, 2)]


def test_records_that_somebody_else_applied_are_not_repeated(home: Path) -> None:
    with recording(home) as session:
        run = Recorded(session.emit).run()
        assert session.flush()
        with session._store_file.write_lock.hold():
            for number in range(10):
                run.log(str(number))
            with closing(sqlite3.connect(home / "flowdeck.db")) as conn, conn:
                conn.execute("UPDATE sessions SET applied=applied+4")
        assert session.flush(20)
        run.end()
    assert [m for (m,) in rows(home, "SELECT msg FROM logs ORDER BY seq")] == list("456789")
    figures = session.statistics()
    assert figures.applied == figures.emitted
