"""Runs that are recorded before their process exists."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flowdeck_store import events as ev
from flowdeck_store.errors import NotFound
from flowdeck_store.file.identity import pid_start
from flowdeck_store.file.paths import StorePaths
from flowdeck_store.states import COMPLETED, CRASHED, FAILED, PENDING, RUNNING, SCHEDULED
from flowdeck_store.upkeep import launches, liveness
from flowdeck_store.upkeep.retention import delete_runs
from store_writing import FLOW_KEY, Recorded, one, recording, rows, start

if TYPE_CHECKING:
    from pathlib import Path

UID = "b" * 32


def create(home: Path, uid: str = UID) -> int:
    return launches.create_run(
        home, flow_key=FLOW_KEY, flow_name="etl", name="brave-otter", uid=uid, runner="concurrent",
        params='{"day":1}', tags='["a"]', rerun_of="e" * 32, info='{"target":"etl.py:etl"}',
    )  # fmt: skip


def states(home: Path) -> list[tuple[int, str | None]]:
    return rows(home, "SELECT state,name FROM states WHERE task_no=0 ORDER BY seq")  # type: ignore[return-value]


def test_a_launched_run_is_there_before_its_process(home: Path) -> None:
    assert create(home) == 1
    assert rows(
        home, "SELECT uid,name,state,state_name,runner,params,tags,rerun_of,session_id,ended_us "
        "FROM flow_runs",
    ) == [
        (UID, "brave-otter", SCHEDULED, "Launching", "concurrent", '{"day":1}', '["a"]', "e" * 32,
         None, None)
    ]  # fmt: skip
    assert states(home) == [(SCHEDULED, "Launching")]
    assert create(home, "c" * 32) == 2
    assert one(home, "SELECT count(*) FROM flows") == 1


def test_the_process_takes_the_row_over(home: Path) -> None:
    create(home)
    with recording(home) as session:
        Recorded(session.emit, UID).run("brave-otter", info='{"python":"3.11"}').end()
        session.flush()
        assert session.run_number(UID) == 1
    assert rows(home, "SELECT state,state_name,params,info,session_id FROM flow_runs") == [
        (COMPLETED, None, '{"day":1}', '{"target":"etl.py:etl","python":"3.11"}', 1)
    ]
    assert states(home) == [
        (SCHEDULED, "Launching"), (PENDING, None), (RUNNING, None), (COMPLETED, None)
    ]  # fmt: skip


def test_numbers_of_launched_and_of_other_runs_are_consecutive(home: Path) -> None:
    with recording(home) as session:
        for number in range(3):
            uid = str(number) * 32
            assert create(home, uid) == 2 * number + 1
            Recorded(session.emit, uid).run().end()
            session.flush()
            Recorded(session.emit).run().end()
            session.flush()
    assert rows(home, "SELECT id FROM flow_runs ORDER BY id") == [(n,) for n in range(1, 7)]


def test_a_launch_that_fails_is_a_failed_run_with_its_failure(home: Path) -> None:
    number = create(home)
    failure = ev.failure(UID, 0, 5, 1, "ImportError", "No module named 'x'", "{}", "{}")
    assert launches.fail_run(home, number, "The flow could not be imported.", failure)
    assert rows(home, "SELECT state,state_msg,ended_us IS NOT NULL FROM flow_runs") == [
        (FAILED, "The flow could not be imported.", 1)
    ]
    assert rows(home, "SELECT run_id,exc_type FROM failures") == [(number, "ImportError")]
    assert states(home)[-1] == (FAILED, None)


def test_a_run_that_its_process_has_taken_over_is_not_failed_from_outside(home: Path) -> None:
    number = create(home)
    with recording(home) as session:
        run = Recorded(session.emit, UID).run()
        session.flush()
        assert not launches.fail_run(home, number, "too late")
        run.end()
    assert not launches.fail_run(home, number, "too late")
    assert one(home, "SELECT state FROM flow_runs") == COMPLETED
    with pytest.raises(NotFound):
        launches.fail_run(home, 77, "no such run")


def test_a_run_whose_process_died_before_reporting_is_crashed_once(home: Path) -> None:
    number = create(home)
    process = start("import sys; sys.stdin.readline()")
    launches.set_process(home, number, process.pid, pid_start(process.pid))
    assert liveness.recover(home) == []
    assert one(home, "SELECT state FROM flow_runs") == SCHEDULED
    process.kill()
    process.communicate()
    liveness.recover(home)
    liveness.recover(home)
    (row,) = rows(home, "SELECT state,state_msg FROM flow_runs")
    assert row[0] == CRASHED
    assert f"pid {process.pid}" in row[1]
    assert states(home) == [(SCHEDULED, "Launching"), (CRASHED, None)]


def test_a_reused_process_number_is_not_taken_for_the_child(home: Path) -> None:
    number = create(home)
    start_of_me = pid_start(os.getpid())
    assert start_of_me is not None
    launches.set_process(home, number, os.getpid(), start_of_me - 1)
    liveness.recover(home)
    assert one(home, "SELECT state FROM flow_runs") == CRASHED


def test_a_launcher_that_died_before_starting_the_child_is_noticed_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(home)
    liveness.recover(home)
    assert one(home, "SELECT state FROM flow_runs") == SCHEDULED
    monkeypatch.setattr(liveness, "LAUNCH_S", -1.0)
    liveness.recover(home)
    assert rows(home, "SELECT state,state_msg FROM flow_runs") == [
        (CRASHED, "Whoever launched this run ended before starting it.")
    ]


def test_a_child_that_comes_late_still_takes_over(home: Path) -> None:
    number = create(home)
    launches.fail_run(home, number, "It took too long to start.")
    with recording(home) as session:
        Recorded(session.emit, UID).run().end()
    assert rows(home, "SELECT state,state_msg FROM flow_runs") == [(COMPLETED, None)]


def test_a_child_that_comes_late_leaves_one_history(home: Path) -> None:
    number = create(home)
    launches.fail_run(home, number, "It took too long to start.")
    with recording(home) as session:
        Recorded(session.emit, UID).run().end()
    states = rows(home, "SELECT state FROM states WHERE task_no=0 ORDER BY seq")
    assert states == [(SCHEDULED,), (PENDING,), (RUNNING,), (COMPLETED,)]


def test_what_was_left_for_a_child_that_died_goes_with_it(home: Path) -> None:
    create(home)
    left = launches.spec_of(StorePaths(home), UID)
    left.parent.mkdir(exist_ok=True)
    left.write_text('{"values": {"password": "x"}}')
    launches.set_process(home, 1, 2**22 + 1, 1)
    liveness.recover(home)
    assert one(home, "SELECT state FROM flow_runs") == CRASHED
    assert not left.exists()


def test_what_was_left_for_a_child_is_deleted_with_its_run(home: Path) -> None:
    create(home)
    left = launches.spec_of(StorePaths(home), UID)
    left.parent.mkdir(exist_ok=True)
    left.write_text("{}")
    launches.fail_run(home, 1, "no")
    delete_runs(home, [1])
    assert not left.exists()
