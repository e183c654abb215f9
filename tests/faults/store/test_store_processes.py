"""Many processes record into one store at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowdeck_store.states import COMPLETED
from store_writing import finish, numbered_lines, one, private_home, rows, start

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this test, which does not exist yet."""
    return private_home(tmp_path, monkeypatch)


WRITE = """
import sys; from pathlib import Path; from store_writing import *
from flowdeck_store.session import RecordingSession
said = []
session = RecordingSession.open(Path(sys.argv[1]), version='t', on_warning=said.append)
print('ready', flush=True); sys.stdin.readline()
for _ in range(3):
    run = Recorded(session.emit).run(sys.argv[2])
    for number in range(1, 401):
        run.task(number, (('x', None, number - 1),) if number > 1 else None)
        run.state(number, RUNNING).log(str(number), no=number).state(number, COMPLETED)
        if number % 100 == 0: assert session.flush(30)
    run.end()
assert session.close(30) and said == [], said
"""


def test_eight_processes_lose_nothing_double_nothing_and_meet_no_error(home: Path) -> None:
    processes = [start(WRITE, home, f"process {n}") for n in range(8)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    assert (
        rows(home, "SELECT state,n_completed,n_pending,n_running,n_logs FROM flow_runs")
        == [(COMPLETED, 400, 0, 0, 400)] * 24
    )
    assert one(home, "SELECT count(*) FROM task_runs WHERE state<>?", COMPLETED) == 0
    assert one(home, "SELECT count(*) FROM states") == 24 * (3 + 400 * 3)
    assert one(home, "SELECT count(*) FROM task_inputs") == 24 * 399
    for (run,) in rows(home, "SELECT id FROM flow_runs"):
        lines = rows(home, "SELECT msg FROM logs WHERE run_id=? ORDER BY seq", run)
        assert [int(msg) for (msg,) in lines] == list(range(1, 401))
    assert len(numbered_lines(home)) == 24 * 400
    emitted = 3 * (3 + 1 + 400 * 4)
    assert rows(home, "SELECT applied,how FROM sessions") == [(emitted, "closed")] * 8


def test_processes_that_create_the_store_at_once_all_record(home: Path) -> None:
    code = (
        WRITE.replace("range(3)", "range(1)")
        .replace("401", "11")
        .replace("print('ready', flush=True); sys.stdin.readline()\n", "")
    )
    for process in [start(code, home, f"process {n}") for n in range(6)]:
        finish(process)
    assert one(home, "SELECT count(*) FROM flow_runs WHERE n_completed=10") == 6
