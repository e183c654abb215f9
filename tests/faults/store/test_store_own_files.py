"""A flow that reads the files of its own home, and processes whose marks are gone all the same.

A backup task copies, packs and hashes them; every ``close`` drops the process's record locks.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import StoreBusy
from flowdeck_store.file import file_locks, process_lock
from flowdeck_store.file.connection import connect_rw
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.states import COMPLETED, CRASHED, PENDING, RUNNING
from flowdeck_store.upkeep.liveness import is_alive, recover
from store_writing import (
    Recorded,
    finish,
    numbered_lines,
    one,
    recording,
    rows,
    start,
    wait_until,
)

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not file_locks.survives_close(), reason="this system has no locks that survive a close"
)

LIVE = """
import os, shutil, sys
from pathlib import Path
from store_writing import *
from flowdeck_store.states import *
from flowdeck_store.file import file_locks
home, read = Path(sys.argv[1]), sys.argv[2]
if sys.argv[3] == 'record locks': file_locks._works = False
session = RecordingSession.open(home, version='t', on_warning=lambda text: None, tuning=QUICK)
run = Recorded(session.emit).run('alive').task(1).state(1, RUNNING).task(2)
for number in range(100): run.log(str(number))
assert session.flush()
print(session.uid, flush=True)
for line in sys.stdin:
    word, _, number = line.strip().partition(' ')
    if word == 'read':
        for path in sorted(home.rglob('*')):
            if path.is_file(): path.read_bytes()
    if word == 'copy': shutil.copytree(home, Path(sys.argv[1] + '-copy-' + number))
    if word == 'log': run.log(number)
    if word == 'flush': assert session.flush(20)
    if word == 'fork':
        if not os.fork(): time.sleep(3600)
    if word == 'end': run.state(1, COMPLETED).state(2, COMPLETED).end(); session.close()
    if word == 'die': os.kill(os.getpid(), 9)
    print('done', flush=True)
"""


class Live:
    """A process that records, and does what it is told."""

    def __init__(self, home: Path, locks: str = "") -> None:
        self.process: subprocess.Popen[str] = start(LIVE, home, "", locks)
        assert self.process.stdout is not None
        self.uid = self.process.stdout.readline().strip()

    def do(self, *words: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def die(self) -> None:
        self.process.communicate("die\n", timeout=50)
        assert self.process.returncode == -signal.SIGKILL

    def leave(self) -> None:
        self.do("end")
        finish(self.process)


def write_and_leave(home: Path) -> None:
    """Do in a process what every command does that writes: it is the last one to close the file."""
    finish(
        start(
            "import sys; from pathlib import Path; from flowdeck_store.record.limits import set_limit\n"
            "set_limit(Path(sys.argv[1]), 'x', 3)",
            home,
        )
    )


def history(home: Path, no: int) -> list[int]:
    query = "SELECT state FROM states WHERE task_no=? ORDER BY seq"
    return [state for (state,) in rows(home, query, no)]


@pytest.mark.parametrize("how", ["read", "copy"])
def test_a_process_that_reads_its_own_files_stays_alive_and_safe_from_a_kill(
    home: Path, how: str
) -> None:
    live = Live(home)
    live.do(how)
    assert is_alive(home, live.uid)
    assert recover(home) == []
    assert one(home, "SELECT state FROM flow_runs") == RUNNING
    live.do("log", 100)
    live.die()
    (recovered,) = recover(home)
    assert recovered.run_ids == (1,)
    assert numbered_lines(home) == list(range(101))
    assert history(home, 0) == [PENDING, RUNNING, CRASHED]


def test_others_do_not_take_themselves_for_the_last_user_of_the_file(home: Path) -> None:
    live = Live(home)
    log, shared = home / "flowdeck.db-wal", home / "flowdeck.db-shm"
    before = log.stat().st_ino, shared.stat().st_ino
    for number in range(100, 110):
        live.do("read")
        write_and_leave(home)
        assert (log.stat().st_ino, shared.stat().st_ino) == before
        assert shared.stat().st_size >= 32_768  # emptied, our mapping would be a SIGBUS
        live.do("log", number)
    live.do("flush")
    assert numbered_lines(home) == list(range(110))
    live.leave()
    assert not log.exists()  # the last one tidies up, as ever
    with closing(sqlite3.connect(home / "flowdeck.db")) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert numbered_lines(home) == list(range(110))


def test_the_gate_stays_shut_when_its_file_is_read(home: Path) -> None:
    home.mkdir()
    gate = write_lock_of(home / "gate")
    with gate.hold():
        (home / "gate").read_bytes()
        code = (
            "import sys; from pathlib import Path; from flowdeck_store.file.write_lock import *\n"
            "try:\n  with write_lock_of(Path(sys.argv[1])).hold(0.05): print('in')\n"
            "except StoreBusy as error: print(error)"
        )
        assert f"held by process {os.getpid()}" in finish(start(code, home / "gate"))


OLD_HOLDS = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(fd, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.readline()
"""
OLD_ASKS = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR)
asked = struct.pack('hhqqi', fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
free = struct.unpack('hhqqi', fcntl.fcntl(fd, fcntl.F_GETLK, asked))[0] == fcntl.F_UNLCK
try: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB); got = True
except OSError: got = False
print(free, got)
"""


def test_an_older_flowdeck_and_this_one_keep_each_other_out(home: Path) -> None:
    home.mkdir()
    uid = "a" * 32
    old = start(OLD_HOLDS, home / f"{uid}.lock")
    assert old.stdout is not None
    assert old.stdout.readline() == "held\n"
    assert process_lock.is_held(home, uid)
    assert process_lock.seize(home, uid) is None
    with (
        pytest.raises(StoreBusy, match=f"process {old.pid}"),
        write_lock_of(home / f"{uid}.lock").hold(0.05),
    ):
        pytest.fail("two processes hold the gate")
    finish(old)
    mark = process_lock.hold(home, uid)
    assert finish(start(OLD_ASKS, home / f"{uid}.lock")) == "False False\n"
    mark.release(delete=False)
    assert finish(start(OLD_ASKS, home / f"{uid}.lock")) == "True True\n"


def test_a_child_that_lives_on_does_not_keep_its_killed_parent_alive(home: Path) -> None:
    live = Live(home)
    children = f"/proc/{live.process.pid}/task/{live.process.pid}/children"
    live.do("fork")
    with open(children, encoding="ascii") as file:
        child = int(file.read())
    try:
        assert is_alive(home, live.uid)
        live.process.kill()
        live.process.wait()
        wait_until(lambda: not is_alive(home, live.uid), "dead")
        assert len(recover(home)) == 1
    finally:
        os.kill(child, signal.SIGKILL)
        live.process.communicate()


def lose_place(live: Live, home: Path, lost: str) -> None:
    """Make others believe that a living process is dead, and take its session in."""
    live.process.send_signal(signal.SIGSTOP)
    shutil.rmtree(home / "locks")
    if lost == "journal":
        shutil.rmtree(home / "journal")
    (recovered,) = recover(home)
    assert recovered.run_ids == (1,)
    live.process.send_signal(signal.SIGCONT)


def test_record_locks_that_a_close_dropped_are_taken_again(home: Path) -> None:
    live = Live(home, "record locks")
    for _ in range(3):
        live.do("read")
        wait_until(lambda: is_alive(home, live.uid), "locked again")
    live.leave()


@pytest.mark.parametrize("how", ["marks", "journal", "record locks"])
@pytest.mark.parametrize("busy", [False, True])
def test_a_living_process_that_was_taken_for_dead_takes_its_place_back(
    home: Path, how: str, busy: bool
) -> None:
    live = Live(home, how)
    lose_place(live, home, how)
    if busy:
        for number in range(100, 200):
            live.do("log", number)
    wait_until(lambda: one(home, "SELECT state FROM flow_runs") == RUNNING, "taken back")
    wait_until(lambda: is_alive(home, live.uid), "alive again")
    assert recover(home) == []
    assert rows(home, "SELECT state,ended_us FROM task_runs") == [(RUNNING, None), (PENDING, None)]
    assert rows(home, "SELECT n_running,n_pending,n_crashed FROM flow_runs") == [(1, 1, 0)]
    for number in range(200, 210):
        live.do("log", number)
    live.leave()
    said = [msg for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]
    assert sum("took this one for dead" in msg for msg in said) == 1
    numbers = [int(msg) for msg in said if msg.isdigit()]
    assert numbers == [*range(100), *(range(100, 200) if busy else ()), *range(200, 210)]
    assert history(home, 0) == [PENDING, RUNNING, COMPLETED]
    assert history(home, 1) == [PENDING, RUNNING, COMPLETED]
    assert history(home, 2) == [PENDING, COMPLETED]
    assert rows(home, "SELECT state,n_completed,n_crashed FROM flow_runs") == [(COMPLETED, 2, 0)]
    assert rows(home, "SELECT how FROM sessions") == [("closed",)]


def test_what_a_process_recorded_after_it_was_taken_for_dead_is_not_lost_when_it_dies(
    home: Path,
) -> None:
    live = Live(home)
    live.process.send_signal(signal.SIGSTOP)
    shutil.rmtree(home / "locks")
    assert len(recover(home)) == 1
    # It cannot write, and so not take its place back, but it notices that its journal is gone.
    with closing(sqlite3.connect(home / "flowdeck.db", isolation_level=None)) as conn:
        conn.execute("BEGIN IMMEDIATE")
        live.process.send_signal(signal.SIGCONT)
        live.do("log", 100)
        wait_until(lambda: list((home / "journal").glob("*.jrn")), "a new journal")
        live.do("log", 101)
        live.die()
        conn.execute("ROLLBACK")
    assert len(recover(home)) == 1
    said = [msg for (msg,) in rows(home, "SELECT msg FROM logs ORDER BY seq")]
    assert said[-1] == "101"
    # Line 100 was in the journal that was deleted, unless that was noticed first: not in silence.
    assert sum("1 event is missing" in msg for msg in said) == ("100" not in said)
    assert history(home, 0) == [PENDING, RUNNING, CRASHED]
    assert history(home, 1) == [PENDING, RUNNING, CRASHED]


def test_slots_of_a_process_that_was_taken_for_dead_count_again(home: Path) -> None:
    from flowdeck_store.record.limits import list_limits, set_limit

    set_limit(home, "db", 1)
    with recording(home, []) as session:
        run = Recorded(session.emit).run().task(1)
        assert session.flush()
        assert session.acquire_slots(["db"], run.uid, 1) == ()
        with closing(connect_rw(StorePaths(home))) as conn:
            conn.execute("DELETE FROM slots")
            conn.execute("UPDATE sessions SET how='crashed',ended_us=1")
        run.log("1")
        wait_until(lambda: list_limits(home)[0].in_use == 1, "the slot counts")
