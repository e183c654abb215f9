"""What a power loss leaves: files as they were when they were last forced to the disk.

A power loss is played by keeping, beside the home, a copy of each file as of its last ``fsync``.
That is the least that a disk has; the rest of what was written counts as lost.
"""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.states import CRASHED
from flowdeck_store.upkeep.liveness import recover
from store_writing import (
    QUICK,
    Recorded,
    finish,
    locked,
    numbered_lines,
    one,
    recording,
    start,
    wait_until,
)

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

RECORDING = """
import os, subprocess, sys
from dataclasses import replace
from pathlib import Path
from store_writing import *
home, disk, level = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
real = os.fsync
def fsync(fd):
    path = os.readlink(f'/proc/self/fd/{fd}')
    real(fd)
    if os.path.isfile(path):  # by another process: closing the database's file here drops locks
        target = disk / Path(path).relative_to(home)
        subprocess.run(['cp', path, target.with_suffix('.part')], check=True)
        target.with_suffix('.part').rename(target)
os.fsync = fsync
tuning = replace(QUICK, sync_interval=0.1, segment_bytes=65536)
session = RecordingSession.open(home, version='t', on_warning=lambda text: None, tuning=tuning,
                       durability=level)
run = Recorded(session.emit).run()
print('on', flush=True)
last = 0
for line in sys.stdin:
    for number in range(last, last + int(line)): run.log(str(number))
    last += int(line)
    print(session.flush(0.5), flush=True)
"""


class Machine:
    """A process that records, and the disk that would be left of its machine."""

    def __init__(self, home: Path, level: str) -> None:
        self.home = home
        self.disk = home.with_name("disk")
        (self.disk / "journal").mkdir(parents=True)
        with recording(home):
            pass
        copy = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
        finish(start(copy, home / "flowdeck.db", self.disk))
        self.process: subprocess.Popen[str] = start(RECORDING, home, self.disk, level)
        self._answer("on")

    def log(self, number: int, recorded: bool = True) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        self._answer(str(recorded))

    def _answer(self, expected: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{expected}\n"

    def on_disk(self) -> list[int]:
        """Turn the power off and on again; return the lines that are recorded then."""
        self.process.kill()
        self.process.communicate()
        assert self.process.returncode == -signal.SIGKILL
        recover(self.disk)
        with closing(sqlite3.connect(self.disk / "flowdeck.db")) as conn:
            assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return numbered_lines(self.disk)


def test_with_power_what_is_older_than_the_interval_survives(home: Path) -> None:
    machine = Machine(home, "power")
    for total in (1_000, 6_000):
        machine.log(total - (total == 6_000) * 1_000)
        wait_until(partial(_has_lines, machine.disk, total), "synced")
    assert machine.on_disk() == list(range(6_000))
    assert one(machine.disk, "SELECT state FROM flow_runs") == CRASHED


def _has_lines(disk: Path, number: int) -> bool:
    """Say whether the files hold so many lines as they are; read in a copy."""
    if not (disk / "flowdeck.db-wal").exists():
        return False
    code = (
        "import shutil, sqlite3, sys, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    shutil.copytree(sys.argv[1], folder + '/copy')\n"
        "    conn = sqlite3.connect(folder + '/copy/flowdeck.db')\n"
        "    print(conn.execute('SELECT count(*) FROM logs').fetchone()[0])"
    )
    return int(finish(start(code, disk))) == number


def test_with_power_the_journal_survives_while_the_store_cannot_be_written(home: Path) -> None:
    machine = Machine(home, "power")
    machine.log(10)
    wait_until(lambda: (machine.disk / "flowdeck.db-wal").exists(), "synced")
    with locked(home):
        machine.log(5_000, recorded=False)
        journal = machine.disk / "journal"
        wait_until(lambda: sum(b"4999" in p.read_bytes() for p in journal.iterdir()), "synced")
        # A segment more is synced with the next interval, so all of them are whole by now.
        newest = max(p.stat().st_mtime_ns for p in journal.iterdir())
        wait_until(lambda: max(p.stat().st_mtime_ns for p in journal.iterdir()) > newest, "again")
        machine.process.kill()
        machine.process.wait()
    assert machine.on_disk() == list(range(5_010))


def test_without_it_nothing_is_forced_to_the_disk(home: Path) -> None:
    machine = Machine(home, "process")
    machine.log(5_000)
    assert list((machine.disk / "journal").iterdir()) == []
    assert not (machine.disk / "flowdeck.db-wal").exists()
    assert machine.on_disk() == []


def test_with_power_journals_are_freed_only_when_what_they_held_is_on_the_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    tuning = replace(QUICK, sync_interval=3600.0, segment_bytes=16_384)
    with recording(home, tuning=tuning, durability="power") as session:
        run = Recorded(session.emit).run().log("0")
        assert session.flush()  # this much is synced with the first tick
        for number in range(1, 2_000):
            run.log(str(number))
        assert session.flush()
        files = list((home / "journal").glob("*.jrn"))
        assert len(files) > 5
        assert sum(path.read_bytes().count(b"flow") for path in files) > 1_900
        run.end()
    assert list((home / "journal").iterdir()) == []  # the end forces the rest


def test_a_level_that_does_not_exist_is_refused(home: Path) -> None:
    with pytest.raises(ValueError, match="process, power"), recording(home, durability="hope"):
        pass
