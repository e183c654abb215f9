"""What dead processes left is put right, exactly once, and nobody alive is touched."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import kills
from flowdeck_store.events import now_us
from flowdeck_store.file import identity, process_lock
from flowdeck_store.file.connection import connect_rw
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.record.control import request
from flowdeck_store.states import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    NOT_READY,
    PENDING,
    RUNNING,
)
from flowdeck_store.upkeep import liveness, recovery
from flowdeck_store.upkeep.liveness import is_alive, recover
from store_writing import Recorded, finish, one, recording, rows, start, wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

RUN = """
import os, sys; from pathlib import Path; from store_writing import Recorded, QUICK
from flowdeck_store.session import RecordingSession; from flowdeck_store.states import *
home, flush, then = Path(sys.argv[1]), sys.argv[2] == 'flush', sys.argv[3]
session = RecordingSession.open(home, version='t', on_warning=print)
run = Recorded(session.emit).run('doomed')
run.task(1).task(2).task(3).task(4).state(1, RUNNING).state(2, RUNNING).state(2, COMPLETED)
run.state(4, PENDING, NOT_READY).log('last words', no=1)
if flush: session.flush()
print(session.uid, flush=True)
if then == 'die': os.kill(os.getpid(), 9)
sys.stdin.readline()
"""


def doomed(
    home: Path, flush: str = "flush", then: str = "die"
) -> tuple[subprocess.Popen[str], str]:
    process = start(RUN, home, flush, then)
    assert process.stdout is not None
    uid = process.stdout.readline().strip()
    if then == "die":
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    return process, uid


def assert_crashed(home: Path, pid: int) -> None:
    message = (
        f"The process of this run (pid {pid} on {os.uname().nodename}) ended without a word: "
        "killed, or the machine went down."
    )
    assert rows(home, "SELECT state,state_msg,ended_us IS NOT NULL FROM flow_runs") == [
        (CRASHED, message, 1)
    ]
    assert rows(home, "SELECT id&255,state,state_name,state_msg FROM task_runs ORDER BY id") == [
        (1, CRASHED, None, message), (2, COMPLETED, None, None), (3, CRASHED, None, message),
        (4, PENDING, NOT_READY, None),
    ]  # fmt: skip
    assert rows(
        home, "SELECT n_pending,n_running,n_completed,n_crashed,n_not_ready,n_logs FROM flow_runs"
    ) == [(0, 0, 1, 2, 1, 1)]
    assert rows(home, "SELECT task_no FROM states WHERE state=? ORDER BY seq", CRASHED) == [
        (1,), (3,), (0,)
    ]  # fmt: skip
    assert rows(home, "SELECT msg FROM logs") == [("last words",)]
    assert rows(home, "SELECT how FROM sessions") == [("crashed",)]


@pytest.mark.parametrize("flush", ["flush", "journal only"])
def test_a_killed_process_leaves_a_crashed_run_with_everything_it_emitted(
    home: Path, flush: str
) -> None:
    process, uid = doomed(home, flush)
    (recovered,) = recover(home)
    assert_crashed(home, process.pid)
    assert (recovered.session_uid, recovered.pid) == (uid, process.pid)
    assert (recovered.run_ids, recovered.tasks) == ((1,), 2)
    assert recover(home) == []
    assert_crashed(home, process.pid)
    paths = StorePaths(home)
    assert [*paths.journal.iterdir(), *paths.locks.glob("*.lock")] == []


def test_a_recovery_leaves_the_definitions_of_tasks_as_they_were_recorded(home: Path) -> None:
    with recording(home):
        pass
    code = RUN.replace(
        "if then ==",
        "from store_writing import locked\nwith locked(home):\n run.task(5)\n if then ==",
    )
    process = start(code, home, "flush", "die")
    process.communicate()
    (recovered,) = recover(home)
    assert recovered.events  # the definition is in the store, task run 5 in the journal only
    assert rows(home, "SELECT name,source,tags,retries FROM tasks") == [
        ("load", "/flows/etl.py:7", '["io"]', 3)
    ]


def test_the_end_of_a_crashed_run_is_its_last_sign_of_life(home: Path) -> None:
    process, _ = doomed(home)
    last = one(home, "SELECT max(us) FROM (SELECT us FROM states UNION SELECT us FROM logs)")
    beat = one(home, "SELECT beat_us FROM sessions")
    recover(home)
    assert one(home, "SELECT ended_us FROM flow_runs") == max(last, beat)
    assert one(home, "SELECT ended_us FROM sessions") == beat
    assert one(home, "SELECT count(*) FROM task_runs WHERE ended_us<created_us") == 0
    assert process.returncode == -signal.SIGKILL


def test_a_living_process_is_left_alone(home: Path) -> None:
    process, uid = doomed(home, then="wait")
    assert is_alive(home, uid)
    assert recover(home) == []
    process.send_signal(signal.SIGSTOP)
    assert is_alive(home, uid)
    assert recover(home) == []
    assert one(home, "SELECT state FROM flow_runs") == RUNNING
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()
    assert not is_alive(home, uid)
    assert len(recover(home)) == 1


def test_a_zombie_counts_as_dead(home: Path) -> None:
    process, uid = doomed(home, then="wait")
    process.kill()
    wait_until(lambda: not is_alive(home, uid), "dead", timeout=5)
    assert process.poll() is None or process.returncode == -signal.SIGKILL
    assert len(recover(home)) == 1
    process.communicate()


def test_own_sessions_are_alive_and_asking_does_not_drop_the_mark(home: Path) -> None:
    ask = (
        "import sys; from pathlib import Path; from flowdeck_store.upkeep.liveness import is_alive\n"
        "print(is_alive(Path(sys.argv[1]), sys.argv[2]))"
    )
    with recording(home) as session:
        Recorded(session.emit).run().end()
        for _ in range(3):
            assert is_alive(home, session.uid)
            assert recover(home) == []
        assert finish(start(ask, home, session.uid)) == "True\n"
    assert not is_alive(home, session.uid)


def test_who_looks_while_another_recovers_waits_for_it(home: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from flowdeck_store.file import left_behind; from flowdeck_store.upkeep.liveness import recover\n"
        "home, began = Path(sys.argv[1]), time.monotonic(); done = recover(home, wait=0.3)\n"
        "print(len(done), time.monotonic() - began >= 0.3, left_behind.left_in(home))"
    )
    _, uid = doomed(home)
    gate = write_lock_of(StorePaths(home).locks / "recovery")
    with gate.hold():
        mark = process_lock.seize(StorePaths(home).locks, uid)  # from now on it does not seem dead
        assert mark is not None
        assert finish(start(code, home)) == "0 True None\n"
        mark.release(delete=False)
    assert len(recover(home)) == 1


def test_two_recoveries_at_once_do_it_once(home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flowdeck_store.upkeep.liveness import recover\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(sum(r.events + 1000 * len(r.run_ids) for r in recover(Path(sys.argv[1]))))"
    )
    process, _ = doomed(home, "journal only")
    helpers = [start(code, home) for _ in range(3)]
    for helper in helpers:
        assert helper.stdout is not None
        helper.stdout.readline()
    for helper in helpers:
        assert helper.stdin is not None
        helper.stdin.write("go\n")
        helper.stdin.flush()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.extend(r.events for r in recover(home)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(found) + sum(int(finish(helper)) % 1000 for helper in helpers)
    assert total in {0, one(home, "SELECT applied FROM sessions")}
    assert_crashed(home, process.pid)


@pytest.mark.parametrize("how", ["cancelling", "kill"])
def test_a_run_that_was_being_cancelled_or_killed_on_request_is_cancelled(
    home: Path, how: str
) -> None:
    code = RUN.replace("sys.stdin.readline()", "sys.stdin.readline(); session.flush()")
    process = start(code, home, "flush", "wait")
    assert process.stdout is not None
    process.stdout.readline()
    if how == "kill":
        request(home, 1, "kill")
    else:
        with closing(connect_rw(StorePaths(home))) as conn:
            conn.execute("UPDATE flow_runs SET state=?", (CANCELLING,))
    process.kill()
    process.communicate()
    recover(home)
    assert one(home, "SELECT state FROM flow_runs") == CANCELLED
    assert rows(home, "SELECT n_cancelled,n_crashed FROM flow_runs") == [(2, 0)]
    assert rows(home, "SELECT 1 FROM control WHERE done_us IS NULL") == []


def test_a_run_that_ended_is_not_touched_by_the_death_of_its_process(home: Path) -> None:
    code = RUN.replace("if flush:", "run.end(FAILED)\nif flush:")
    for flush in ("flush", "journal only"):
        process = start(code, home, flush, "die")
        process.communicate()
        (recovered,) = recover(home)
        assert recovered.run_ids == ()
    assert rows(home, "SELECT state,state_msg FROM flow_runs") == [(FAILED, None)] * 2


def test_a_process_that_died_before_its_first_flush_is_recorded_from_its_journal(
    home: Path,
) -> None:
    # The store is locked from the outside, so that not even the session row can be written.
    with recording(home):
        pass
    lock = sqlite3.connect(home / "flowdeck.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    process, _ = doomed(home, "journal only")
    lock.execute("ROLLBACK")
    lock.close()
    (recovered,) = recover(home)
    assert recovered.events == one(home, "SELECT applied FROM sessions WHERE pid=?", process.pid)
    assert one(home, "SELECT state FROM flow_runs") == CRASHED


def test_recovering_nothing_creates_nothing(home: Path) -> None:
    assert recover(home) == []
    assert not home.exists()
    assert not is_alive(home, "0" * 32)


def test_a_store_that_is_locked_is_left_to_the_next_recovery(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, _ = doomed(home, "journal only")
    monkeypatch.setattr(recovery, "WAIT_S", 0.05)
    lock = sqlite3.connect(home / "flowdeck.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    assert recover(home) == []
    lock.execute("ROLLBACK")
    lock.close()
    assert len(recover(home)) == 1
    assert_crashed(home, process.pid)


def test_a_recovery_that_is_stopped_is_continued_without_loss_or_double(home: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from store_writing import Recorded\n"
        "from flowdeck_store.session import RecordingSession\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)\n"
        "held = session._store_file.write_lock.hold(); held.__enter__()\n"  # nothing is written any more
        "run = Recorded(session.emit).run()\n"
        "for n in range(10_000): run.log(str(n))\n"
        "os.kill(os.getpid(), 9)"
    )
    start(code, home).communicate()
    answers = iter([False, True])
    assert recover(home, lambda: next(answers)) == []
    assert 0 < one(home, "SELECT applied FROM sessions") < 10_000
    (recovered,) = recover(home)
    assert recovered.run_ids == (1,)
    assert [int(m) for (m,) in rows(home, "SELECT msg FROM logs ORDER BY seq")] == list(
        range(10_000)
    )


def elsewhere(home: Path, beat_us: int) -> str:
    """Put a session of another machine with an open run into the store."""
    with recording(home) as session:
        Recorded(session.emit).run().end()
    with closing(connect_rw(StorePaths(home))) as conn:
        conn.execute(
            "UPDATE sessions SET uid=?,host='far',boot_id='other',beat_us=?,ended_us=NULL",
            ("f" * 32, beat_us),
        )
        conn.execute("UPDATE flow_runs SET state=?,ended_us=NULL", (RUNNING,))
    return "f" * 32


def test_a_session_of_another_machine_is_dead_only_after_a_long_silence(home: Path) -> None:
    uid = elsewhere(home, now_us() - 30_000_000)
    assert is_alive(home, uid)
    assert recover(home) == []
    with closing(connect_rw(StorePaths(home))) as conn:
        conn.execute("UPDATE sessions SET beat_us=?", (now_us() - 90_000_000,))
    assert not is_alive(home, uid)
    assert [r.session_uid for r in recover(home)] == [uid]
    assert one(home, "SELECT state FROM flow_runs") == CRASHED


def test_a_sign_of_life_from_the_future_is_none(home: Path) -> None:
    uid = elsewhere(home, now_us() + 600_000_000)
    assert not is_alive(home, uid)
    assert [r.session_uid for r in recover(home)] == [uid]
    assert one(home, "SELECT state FROM flow_runs") == CRASHED


def test_sessions_before_the_last_boot_are_dead_once_they_are_silent(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, uid = doomed(home)
    monkeypatch.setattr(identity, "boot_id", lambda: "a later boot")
    assert recover(home) == []  # it may be another machine of the same name
    monkeypatch.setattr(liveness, "STALE_S", -1.0)
    assert [r.session_uid for r in recover(home)] == [uid]
    assert_crashed(home, process.pid)


def test_a_fresh_mark_that_was_taken_for_dead_is_made_again(tmp_path: Path) -> None:
    seized = process_lock.seize(tmp_path, "a" * 32)
    assert seized is not None
    assert process_lock.seize(tmp_path, "a" * 32) is None
    seized.release(delete=True)
    mark = process_lock.hold(tmp_path, "a" * 32)
    assert mark.path.exists()
    mark.release(delete=True)
    assert not mark.path.exists()


def test_a_process_is_signalled_only_if_its_number_means_it_here(home: Path) -> None:
    process, _ = doomed(home, then="wait")
    assert liveness.process_to_signal(home, 1) == process.pid
    with closing(connect_rw(StorePaths(home))) as conn:
        # As from another pid namespace, where that number is somebody else's.
        conn.execute("UPDATE sessions SET pid=?", (os.getpid(),))
        assert liveness.process_to_signal(home, 1) is None
        conn.execute("UPDATE sessions SET pid=?,boot_id='another'", (process.pid,))
        assert liveness.process_to_signal(home, 1) is None
    assert liveness.process_to_signal(home, 2) is None
    process.kill()
    process.communicate()


def test_a_run_whose_process_was_near_its_limit_says_that_memory_was_the_reason_probably(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = RUN.replace(
        "if flush:",
        "from flowdeck_store.usage import sample_event\n"
        "for memory in (10, 7_800_000_000):\n"
        " session.emit(sample_event(run.uid, run.us(), '', cpu=1.0, memory=memory))\n"
        "session.emit(sample_event(run.uid, run.us(), 'worker-1', cpu=1.0, memory=5))\n"
        "if flush:",
    )
    process = start(code, home, "journal only", "die")
    process.communicate()
    monkeypatch.setattr(kills, "memory_limit", lambda: 8_000_000_000)
    recover(home)
    ((said,),) = rows(home, "SELECT state_msg FROM flow_runs")
    assert said.endswith(
        "killed, or the machine went down. "
        "Probably out of memory: the last sample said 7.8 GB of 8.0 GB."
    )
