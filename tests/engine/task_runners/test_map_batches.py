"""Runs of a map that go to a worker process together: each of them is still one of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.remote.batches import Gathering
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck.task_runners import ProcessTaskRunner
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import set_limit

pytestmark = pytest.mark.timeout(60)


def one_worker() -> Any:
    return ProcessTaskRunner(max_workers=1)


def until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many task runs went to workers together."""
    from flowdeck.task_runners._process.process_run import ProcessRun

    seen: list[int] = []
    original = ProcessRun._enqueue

    def enqueue(self: Any, calls: Any) -> None:
        seen.append(len(calls))
        original(self, calls)

    monkeypatch.setattr(ProcessRun, "_enqueue", enqueue)
    return seen


@pytest.mark.parametrize("wrong", [-1, 1.5, "9"])
def test_a_batch_is_a_whole_number(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="map_batch is a"):
        task(map_batch=wrong)(len)


def test_runs_of_a_map_travel_together_and_are_recorded_one_by_one(
    home: Path, loads: list[int]
) -> None:
    @task(map_batch=4)
    def where(number: int) -> tuple[int, int]:
        return number, os.getpid()

    @flow(task_runner=ProcessTaskRunner(max_workers=2))
    def f() -> Any:
        found = where.map(range(10)).result()
        assert where.submit(10).result()[0] == 10
        return found

    assert [number for number, _ in f()] == list(range(10))
    assert loads == [4, 4, 2, 1]
    recording.recorder().flush()
    rows = Reader(home).tasks_by_nos(1, range(1, 11))
    found = [(row.no, row.map_index, row.state) for row in rows]
    assert found == [(no, no - 1, "Completed") for no in range(1, 11)]


def test_each_fails_and_is_tried_again_for_itself(tmp_path: Path, loads: list[int]) -> None:
    @task(map_batch=5, retries=1)
    def picky(number: int, folder: Path) -> int:
        first = not (folder / str(number)).exists()
        (folder / str(number)).touch()
        if number == 3 or (number == 1 and first):
            raise ValueError(number)
        return number

    @flow(task_runner=one_worker())
    def f() -> Any:
        states = picky.map(range(5), tmp_path, return_state=True)
        return [(s.name, s.result(raise_on_failure=False)) for s in states]

    names, values = zip(*f(), strict=True)
    assert names == ("Completed", "Completed", "Completed", "Failed", "Completed")
    assert [v for v in values if isinstance(v, int)] == [0, 1, 2, 4]
    assert loads == [5, 1, 1]


def test_one_that_is_killed_takes_only_itself_along(home: Path) -> None:
    @task(map_batch=6)
    def die(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    @flow(task_runner=one_worker())
    def f() -> Any:
        states = die.map(range(6), return_state=True)
        return [state.name for state in states], [
            state.message for state in states if state.is_crashed()
        ]

    names, messages = f()
    assert names[2] == "Crashed"
    assert names[3:] == ["Completed"] * 3
    # What had just ended may be lost with its worker; nothing is executed twice for that.
    assert set(names[:2]) <= {"Completed", "Crashed"}
    assert all("SIGKILL" in message for message in messages)


def test_one_whose_time_is_up_does_not_hold_up_the_others_for_long() -> None:
    @task(map_batch=4, timeout_seconds=0.3)
    def hang(number: int) -> int:
        end = time.monotonic() + 60
        while number == 1 and time.monotonic() < end:
            try:
                time.sleep(0.01)
            except BaseException:  # it does not listen
                pass
        return number

    @flow(task_runner=one_worker())
    def f() -> Any:
        return [state.name for state in hang.map(range(4), return_state=True)]

    assert f() == ["Completed", "TimedOut", "Completed", "Completed"]


def test_one_that_waits_behind_others_is_cancelled_at_once_and_not_called(tmp_path: Path) -> None:
    go, seen = tmp_path / "go", tmp_path / "seen"

    @task(map_batch=3)
    def wait(number: int) -> int:
        (seen.parent / f"seen{number}").touch()
        while not go.exists():
            time.sleep(0.005)
        return number

    @flow(task_runner=one_worker())
    def f() -> Any:
        futures: Any = wait.map(range(3))
        until(lambda: (seen.parent / "seen0").exists() and futures[0].get_state().is_running())
        stop_runs([futures[1].task_run], Stop.CANCEL)
        until(lambda: futures[1].get_state().name == "Cancelled")
        assert futures[0].get_state().is_running()
        go.touch()
        return [future.wait().name for future in futures]

    assert f() == ["Completed", "Cancelled", "Completed"]
    assert not (tmp_path / "seen1").exists()


def test_one_that_executes_is_cancelled_and_the_others_go_on(tmp_path: Path) -> None:
    @task(map_batch=3)
    def wait(number: int) -> int:
        if number == 0:
            (tmp_path / "seen").touch()
            time.sleep(60)
        return number

    @flow(task_runner=one_worker())
    def f() -> Any:
        futures: Any = wait.map(range(3))
        until(lambda: (tmp_path / "seen").exists() and futures[0].get_state().is_running())
        stop_runs([futures[0].task_run], Stop.CANCEL)
        return [future.wait().name for future in futures]

    assert f() == ["Cancelled", "Completed", "Completed"]


def test_those_that_need_slots_or_whose_inputs_come_later_go_when_they_can(
    home: Path, loads: list[int]
) -> None:
    set_limit(home, "db", 1)

    @task
    def first(number: int) -> int:
        return number

    @task(map_batch=3)
    def second(number: int) -> int:
        return number * 2

    @flow(task_runner=one_worker())
    def f() -> Any:
        doubled = second.map(first.map(range(3))).result()
        limited = second.with_options(tags=["db"]).map(range(3)).result()
        return doubled, limited

    assert f() == ([0, 2, 4], [0, 2, 4])
    assert loads[-3:] == [1, 1, 1]  # a slot is not held behind others


class _Call:
    size = 1

    def __init__(self, most: int) -> None:
        self.remote_run: Any = self
        self.run = self
        self.task = self
        self.map_batch = most


def test_what_gathers_goes_when_it_is_full_or_when_nothing_came_for_a_moment() -> None:
    sent: list[int] = []
    done = threading.Event()

    def send(calls: list[Any]) -> None:
        sent.append(len(calls))
        done.set()

    gathering: Gathering[Any] = Gathering(send, lambda function: function())
    gathering.flush()
    calls = [_Call(3) for _ in range(5)]
    for call in calls:
        gathering.add("key", call)
    assert sent[0] == 3
    done.clear()
    assert done.wait(30)
    until(lambda: sum(sent) == 5)
    gathering.add("key", calls[0])
    assert gathering.remove(calls[0]) in (calls[0], None)  # type: ignore[arg-type,comparison-overlap]
    assert gathering.take_back() == []
