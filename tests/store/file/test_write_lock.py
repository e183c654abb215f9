"""The gate: one writer at a time, over threads and processes."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.errors import StoreBusy
from flowdeck_store.file.write_lock import write_lock_of
from flowdeck_store.session import RecordingSession
from store_writing import finish, start

if TYPE_CHECKING:
    from pathlib import Path

HOLD = (
    "import sys; from pathlib import Path; from flowdeck_store.file.write_lock import write_lock_of\n"
    "with write_lock_of(Path(sys.argv[1])).hold():\n"
    "    print('held', flush=True); sys.stdin.readline()"
)
TRY = (
    "import sys; from pathlib import Path; from flowdeck_store.file.write_lock import write_lock_of, StoreBusy\n"
    "try:\n"
    "    with write_lock_of(Path(sys.argv[1])).hold(0.05): print('got in')\n"
    "except StoreBusy as error: print(error)"
)
COUNT = (
    "import sys; from pathlib import Path; from flowdeck_store.file.write_lock import write_lock_of\n"
    "gate, file = write_lock_of(Path(sys.argv[1])), Path(sys.argv[2])\n"
    "for _ in range(300):\n"
    "    with gate.hold():\n"
    "        file.write_text(str(int(file.read_text()) + 1))\n"
)


def test_a_path_has_one_gate_a_process(tmp_path: Path) -> None:
    assert write_lock_of(tmp_path / "lock") is write_lock_of(tmp_path / "x" / ".." / "lock")


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    for process in [start(COUNT, tmp_path / "lock", counter) for _ in range(3)]:
        finish(process)
    assert counter.read_text() == "900"


def test_threads_exclude_each_other(tmp_path: Path) -> None:
    gate, inside, most = write_lock_of(tmp_path / "lock"), [0], [0]

    def work() -> None:
        for _ in range(200):
            with gate.hold():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_whoever_waits_too_long_learns_who_holds_it(tmp_path: Path) -> None:
    process = start(HOLD, tmp_path / "lock")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    gate = write_lock_of(tmp_path / "lock")
    with pytest.raises(StoreBusy, match=f"process {process.pid}"), gate.hold(0.05):
        pytest.fail("two processes hold the gate")
    assert gate.holder() == process.pid
    finish(process)
    with gate.hold(0.05):
        assert gate.holder() is None


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    process = start(HOLD, tmp_path / "lock")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    with write_lock_of(tmp_path / "lock").hold(5):
        pass


def test_a_deleted_lock_file_is_made_anew(tmp_path: Path) -> None:
    gate = write_lock_of(tmp_path / "lock")
    with gate.hold():
        pass
    (tmp_path / "lock").unlink()
    gate.refresh()
    with gate.hold():
        assert (tmp_path / "lock").exists()


def test_a_forked_child_neither_holds_nor_drops_the_lock_of_its_parent(tmp_path: Path) -> None:
    gate = write_lock_of(tmp_path / "lock")
    with gate.hold():
        child = os.fork()
        if child == 0:
            try:
                with gate.hold(0.05):
                    os._exit(1)  # it must not get in
            except StoreBusy:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert "held by process" in finish(start(TRY, tmp_path / "lock"))


def test_a_home_that_is_left_keeps_no_file_open(tmp_path: Path) -> None:
    opened = []
    for number in range(4):  # the first opens what a process opens once
        session = RecordingSession.open(tmp_path / str(number), version="t", on_warning=print)
        assert session.close()
        opened.append(len(os.listdir("/proc/self/fd")))
    assert opened[-1] <= opened[0]
