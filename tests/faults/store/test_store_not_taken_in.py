"""Dead processes in a record that cannot be written: their runs are shown as dead, with the reason."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.read.reader import Reader
from flowdeck_store.states import COMPLETED, CRASHED, FAILED, RUNNING
from flowdeck_store.upkeep.liveness import recover
from store_writing import locked, mounted, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIES = """
import os, sys; from pathlib import Path; from store_writing import *; from flowdeck_store.states import *
session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=print, tuning=QUICK)
Recorded(session.emit).run('ended').end(FAILED)
run = Recorded(session.emit).run('doomed').task(1).state(1, RUNNING).task(2).task(3)
run.state(3, RUNNING).state(3, COMPLETED)
session.flush(); os.kill(os.getpid(), 9)
"""


@contextmanager
def full(home: Path) -> Iterator[None]:
    ballast = home / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def read_only(home: Path) -> Iterator[None]:
    with mounted(home, "--bind", str(home)):
        subprocess.run(["mount", "-o", "remount,ro,bind", home], check=True)
        yield


WAYS = {
    "locked": (locked, "locked by another program"),
    "full": (full, "disk is full"),
    "read-only": (read_only, "cannot be written"),
}


def flowdeck(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowdeck_app", *args],
        env={**os.environ, "FLOWDECK_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_run_whose_process_is_gone_is_shown_as_dead_with_the_reason(home: Path, way: str) -> None:
    hinder, reason = WAYS[way]
    home.mkdir(exist_ok=True)
    with mounted(home, "-t", "tmpfs", "-o", "size=20m", "tmpfs"):
        process = start(DIES, home)
        process.communicate(timeout=50)
        assert process.returncode == -signal.SIGKILL
        with Reader.open(home) as reader, hinder(home):
            assert recover(home, wait=0.1) == []
            doomed, ended = reader.runs()
            assert (doomed.code, doomed.state, doomed.is_final) == (CRASHED, "Dead", True)
            assert doomed.message is not None
            assert doomed.message.startswith("dead, not taken in yet: ")
            assert reason in doomed.message
            assert doomed.duration is not None  # the clock does not go on
            assert [doomed.counts[index] for index in (1, 2, 3, 5)] == [0, 0, 1, 2]
            assert [(t.code, t.state) for t in reader.tasks(doomed.id)] == [
                (CRASHED, "Dead"), (CRASHED, "Dead"), (COMPLETED, "Completed"),
            ]  # fmt: skip
            assert (ended.code, ended.message) == (FAILED, None)
            said = flowdeck(home, "runs", "--json")
            assert said.returncode == 0
            assert "a process is dead, not taken in yet" in said.stderr
            assert reason in said.stderr
            run = json.loads(said.stdout.splitlines()[0])
            assert (run["state"], run["state_type"]) == ("Dead", "CRASHED")
            assert flowdeck(home, "wait", "@last").returncode == 1  # not for ever
        with Reader.open(home) as reader:
            assert len(recover(home)) == 1
            doomed = reader.runs()[0]
            assert (doomed.code, doomed.state) == (CRASHED, "Crashed")
            assert doomed.message is not None
            assert "ended without a word" in doomed.message


def test_a_living_process_is_not_shown_as_dead(home: Path) -> None:
    process = start(
        DIES.replace("os.kill(os.getpid(), 9)", "print('on', flush=True); input()"), home
    )
    assert process.stdout is not None
    process.stdout.readline()
    with Reader.open(home) as reader, locked(home):
        assert recover(home, wait=0.1) == []
        assert reader.runs()[0].code == RUNNING
    process.kill()
    process.communicate()
