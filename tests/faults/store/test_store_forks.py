"""Processes that fork while they record."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.file import forking
from flowdeck_store.states import COMPLETED
from flowdeck_store.upkeep.liveness import is_alive, recover
from store_writing import finish, numbered_lines, one, private_home, rows, start, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


# The parent records as fast as it can on another thread; children open sessions of their own.
FORK = """
import os, signal, sys, threading; from pathlib import Path; from store_writing import *
from flowdeck_store.session import RecordingSession
home = Path(sys.argv[1])
session = RecordingSession.open(home, version='t', on_warning=print)
run, going = Recorded(session.emit).run('parent'), True
def work():
    number = 0
    while going:
        run.log(str(number)); number += 1
        if number % 20 == 0: time.sleep(0.001)
thread = threading.Thread(target=work); thread.start()
for number in range(15):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        own = RecordingSession.open(home, version='c', on_warning=print)
        Recorded(own.emit).run(f'child {number}').end()
        os._exit(0 if own.close(15) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
going = False; thread.join(); run.end()
assert session.close(30)
"""


def test_children_of_a_recording_process_can_record_themselves(home: Path) -> None:
    finish(start(FORK, home))
    assert one(home, "SELECT count(*) FROM flow_runs WHERE state=?", COMPLETED) == 16
    lines = numbered_lines(home)
    assert lines == list(range(len(lines)))
    assert rows(home, "SELECT DISTINCT how FROM sessions") == [("closed",)]


def test_a_fork_waits_for_a_thread_inside_sqlite_but_not_for_ever() -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with forking.inside_sqlite():
            inside.set()
            leave.wait(20)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(20)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        with forking.inside_sqlite():
            os._exit(0)
    waited = time.monotonic() - began
    leave.set()
    thread.join()
    assert waited >= forking.PATIENCE_S
    assert waited < 5
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_pool_of_forked_workers_does_not_disturb_the_record(home: Path) -> None:
    code = (
        "import multiprocessing, sys; from pathlib import Path; from store_writing import *\n"
        "from flowdeck_store.session import RecordingSession\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)\n"
        "run = Recorded(session.emit).run()\n"
        "with multiprocessing.get_context('fork').Pool(3) as pool:\n"
        "    for number in pool.imap(abs, range(200)): run.log(str(number))\n"
        "run.end(); assert session.close(20)"
    )
    finish(start(code, home))
    assert numbered_lines(home) == list(range(200))


def test_a_child_that_outlives_its_parent_does_not_keep_the_parent_alive(home: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from store_writing import *\n"
        "from flowdeck_store.session import RecordingSession\n"
        "session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print)\n"
        "Recorded(session.emit).run(); session.flush()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    sys.stdin.readline(); os._exit(0)\n"
        "print(session.uid, flush=True); os.kill(os.getpid(), 9)"
    )
    process = start(code, home)
    assert process.stdout is not None
    uid = process.stdout.readline().strip()
    wait_until(lambda: process.poll() is not None, "dead")
    assert process.returncode == -signal.SIGKILL
    # The child lets go of the lock as the first thing it does, which may be after its parent's end.
    wait_until(lambda: not is_alive(home, uid), "seen as dead")
    assert len(recover(home)) == 1
    process.communicate("go\n")  # the child ends
