"""Killed at any moment: no emitted event is lost or doubled, and the order is kept."""

from __future__ import annotations

import random
import signal
import struct
import time
from typing import TYPE_CHECKING

import pytest

from flowdeck_store.states import CRASHED
from flowdeck_store.upkeep.liveness import recover
from store_writing import locked, numbered_lines, one, private_home, recording, rows, start

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


# Counts every emit that returned in a mapped file, which outlives the kill like the journal does.
EMIT = """
import mmap, struct, sys; from pathlib import Path
from flowdeck_store.record.tuning import Tuning; from flowdeck_store.session import RecordingSession
from store_writing import Recorded
home, counter, pause = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with open(counter, 'r+b') as file: count = mmap.mmap(file.fileno(), 8)
session = RecordingSession.open(home, version='t', on_warning=lambda text: None,
                       tuning=Tuning(segment_bytes=65536, tick=0.01, queue_cap=2000, busy=0.1))
run = Recorded(session.emit).run()
print('going', flush=True)
for number in range(10**9):
    run.log(str(number))
    struct.pack_into('<Q', count, 0, number + 1)
    if pause and number % pause == 0: session.flush(0.01)
"""
RECOVER = (
    "import sys; from pathlib import Path; from flowdeck_store.upkeep.liveness import recover\n"
    "print('going', flush=True); recover(Path(sys.argv[1]))"
)


def emit_and_kill(home: Path, tmp_path: Path, seconds: float, pause: int) -> int:
    """Start a process that emits, kill it after a while; return how many emits had returned."""
    counter = tmp_path / "counter"
    counter.write_bytes(bytes(8))
    process = start(EMIT, home, counter, pause)
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    time.sleep(seconds)  # the moment of the kill is the point of the test
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return int(struct.unpack("<Q", counter.read_bytes())[0])


def assert_all_there(home: Path, emitted: int) -> None:
    lines = numbered_lines(home)
    # The kill may fall between the emit and the counting of it.
    assert len(lines) in {emitted, emitted + 1}
    assert lines == list(range(len(lines)))
    assert one(home, "SELECT applied FROM sessions ORDER BY id DESC LIMIT 1") == len(lines) + 3
    assert rows(home, "SELECT state,n_logs FROM flow_runs") == [(CRASHED, len(lines))]


@pytest.mark.parametrize("round_", range(20))
def test_a_kill_at_a_random_moment_loses_and_doubles_nothing(
    home: Path, tmp_path: Path, round_: int
) -> None:
    chance = random.Random(round_)
    emitted = emit_and_kill(home, tmp_path, chance.uniform(0.0, 0.25), chance.choice([0, 50, 500]))
    assert len(recover(home)) == 1
    assert_all_there(home, emitted)
    assert recover(home) == []
    assert_all_there(home, emitted)


@pytest.mark.parametrize("round_", range(4))
def test_a_kill_while_the_store_is_locked_leaves_everything_in_the_journal(
    home: Path, tmp_path: Path, round_: int
) -> None:
    with recording(home):
        pass
    with locked(home):
        emitted = emit_and_kill(home, tmp_path, random.Random(round_).uniform(0.05, 0.3), 0)
        assert one(home, "SELECT count(*) FROM logs") == 0
    (recovered,) = recover(home)
    assert recovered.events >= emitted > 0
    assert_all_there(home, emitted)


@pytest.mark.parametrize("round_", range(4))
def test_a_recovery_that_is_killed_itself_is_continued(
    home: Path, tmp_path: Path, round_: int
) -> None:
    chance = random.Random(round_)
    with recording(home):
        pass
    with locked(home):
        emitted = emit_and_kill(home, tmp_path, 0.3, 0)
    for _ in range(3):
        process: subprocess.Popen[str] = start(RECOVER, home)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))  # the moment of the kill is the point of the test
        process.kill()
        process.communicate()
    recover(home)
    assert_all_there(home, emitted)


def test_the_next_session_recovers_by_itself(home: Path, tmp_path: Path) -> None:
    emitted = emit_and_kill(home, tmp_path, 0.1, 0)
    with recording(home):
        deadline = time.monotonic() + 20
        while rows(home, "SELECT 1 FROM flow_runs WHERE state<>?", CRASHED):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    lines = numbered_lines(home)
    assert len(lines) in {emitted, emitted + 1}
    assert lines == list(range(len(lines)))
