"""What happens when a schedule is due, and what is told of it: overlaps, missed runs, failures."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from schedule_programs import DAILY, made, schedule

from flowdeck_app.schedules import firing as module
from flowdeck_app.schedules.definition import Firing, Schedule, ScheduleFiles
from flowdeck_app.schedules.firing import Decision, decide, fire
from flowdeck_app.schedules.overview import look_at, missed
from flowdeck_store.query.language import quote
from flowdeck_store.read.reader import Reader
from flowdeck_store.states import RUNNING, SCHEDULED

if TYPE_CHECKING:
    from conftest import Machine

HOUR = 3_600_000_000
NOON = 1_795_348_800_000_000  # 2026-11-22 12:00 UTC
HOURLY = Schedule(name="h", target="x", cron="0 * * * *", clockwork="systemd", folder="/", python="p",
                  since_us=NOON - 5 * HOUR + 1)  # fmt: skip


def live(*codes: int) -> Any:
    """Runs that go on, newest first."""
    count = len(codes)
    return [
        SimpleNamespace(id=count - i, uid=str(count - i), name=f"n{count - i}", code=code)
        for i, code in enumerate(codes)
    ]


def test_what_is_done_while_an_earlier_run_goes_on() -> None:
    assert decide("skip", []) == decide("queue", []) == decide("cancel", []) == Decision()
    assert decide("skip", live(RUNNING)) == Decision(skip="n1 (#1) still goes on")
    assert decide("queue", live(RUNNING)) == Decision(after=("1",))
    assert decide("queue", live(SCHEDULED, RUNNING)) == Decision(
        skip="n2 (#2) already waits for its turn"
    )
    assert decide("cancel", live(SCHEDULED, RUNNING)) == Decision(after=("2", "1"), cancel=(2, 1))


def test_a_run_that_has_just_been_launched_is_waited_for() -> None:
    assert decide("queue", live(SCHEDULED)) == Decision(after=("1",))


def test_missed_is_when_nothing_happened_until_the_next_time() -> None:
    def hours(*happened: int, since: int = 0) -> list[int]:
        found = missed(replace(HOURLY, since_us=HOURLY.since_us + since), happened, NOON, UTC)
        return [(us - NOON) // HOUR for us in found]

    assert hours() == [-4, -3, -2, -1]  # that of now may still come
    assert hours(NOON - 4 * HOUR - 1_000_000, NOON - 3 * HOUR + 2, NOON - HOUR // 2) == [-2]
    assert hours(since=3 * HOUR) == [-1]
    assert missed(replace(HOURLY, paused=True), (), NOON, UTC) == ()


def test_a_flow_that_is_gone_is_told_and_is_no_missed_run(home: Path, machine: Machine) -> None:
    made(*DAILY)
    Path("etl.py").unlink()
    result = schedule("fire", "etl")
    assert result.exit_code == 1
    assert "schedule etl was not started: There is no file etl.py" in result.stderr
    assert "✗ not started" in schedule("list").stdout
    assert "There is no file etl.py" in schedule("show", "etl").stdout


def test_a_folder_or_a_python_that_is_gone_is_told(
    home: Path, machine: Machine, tmp_path: Path
) -> None:
    made(*DAILY)
    files = ScheduleFiles(home)
    kept = files.load("etl")
    files.save(replace(kept, folder=str(tmp_path / "gone")))
    assert "gone cannot be used: No such file" in str(fire(home, "etl").said)
    files.save(replace(kept, python="/nowhere/python"))
    assert "'/nowhere/python', but there is no such file" in str(fire(home, "etl").said)


def test_runs_that_wait_that_are_cancelled_and_that_are_told(
    home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes: one runs until it is cancelled, one waits for it."""
    Path("etl.py").write_text(
        "import os, time\nfrom flowdeck import flow\n\n\n@flow\ndef etl(gate='x'):\n"
        "    while not os.path.exists(gate):\n        time.sleep(0.01)\n"
    )
    made(*DAILY, "-p", "gate=open", "--overlap", "queue")
    first, second = fire(home, "etl"), fire(home, "etl", by_hand=True)
    assert (first.did, second.did) == ("started", "started")
    assert "waits for" in str(second.said)
    third = fire(home, "etl")
    assert (third.did, third.run) == ("skipped", None)
    made(*DAILY, "-p", "gate=open", "--overlap", "skip")
    assert "still goes on" in schedule("fire", "etl").stderr
    Path("open").touch()
    with Reader.open(home) as reader:
        deadline = time.monotonic() + 50
        while not all(run.is_final for run in reader.runs()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        runs = reader.runs()
        assert [(run.state, run.tags) for run in runs] == [("Completed", ("schedule:etl",))] * 2
        assert (runs[0].started_us or 0) > (runs[1].ended_us or 0)
        assert reader.runs(f"tag:{quote('schedule:etl')}") == runs
    told = schedule("show", "etl").stdout
    assert "(by hand)" in told
    assert "already waits for its turn" in told


def test_the_old_run_is_asked_to_stop_and_the_new_one_comes_after_it(
    home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(*DAILY, "--overlap", "cancel")
    asked: list[Any] = []
    launched: list[Any] = []
    monkeypatch.setattr(module, "live_runs", lambda home, schedule: live(RUNNING))
    monkeypatch.setattr(module.control, "request", lambda *a, **k: asked.append((a[1], k["by"])))
    monkeypatch.setattr(
        module,
        "start_detached",
        lambda spec: launched.append(spec) or SimpleNamespace(uid="f" * 32),
    )
    assert fire(home, "etl").said == "asked to stop: n1 (#1)"
    assert asked == [(1, "schedule etl")]
    assert launched[0].after == ("1",)
    assert launched[0].tags == ("schedule:etl",)


def test_what_happened_is_read_from_a_file_that_was_cut(home: Path, machine: Machine) -> None:
    made(*DAILY)
    files = ScheduleFiles(home)
    files.note("etl", Firing(1, "skipped", said="x"))
    with open(home / "schedules" / "etl.jsonl", "ab") as file:
        file.write(b'{"us": 2, "di\n')
    files.note("etl", Firing(3, "started", run="a" * 32))
    assert [firing.us for firing in files.firings("etl")] == [1, 3]


def test_a_run_that_was_deleted_is_told(home: Path, machine: Machine) -> None:
    from flowdeck_app.schedules.keeping import Schedules

    made(*DAILY)
    ScheduleFiles(home).note("etl", Firing(NOON, "started", run="a" * 32))
    with Reader.open(home) as reader:
        schedules = Schedules(home)
        view = look_at(schedules, schedules.files.load("etl"), reader, NOON)
    assert (view.last, view.firings[0].run) == (None, "a" * 32)
    assert "its run was deleted" in schedule("show", "etl").stdout
