"""Limits by tag: how many task runs execute at once, over runs and processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowdeck import flow, recording, runtime, tags, task
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck_store.limits import list_limits, set_limit
from flowdeck_store.liveness import recover
from flowdeck_store.reader import Reader

pytestmark = pytest.mark.timeout(90)


class Busy:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def in_use(home: Path) -> dict[str, int]:
    return {limit.tag: limit.in_use for limit in list_limits(home)}


def test_no_more_than_the_limit_execute_at_once_from_the_first_task_on(home: Path) -> None:
    set_limit(home, "db", 2)
    busy = Busy()

    @task(tags=["db"])
    def query() -> None:
        with busy:
            time.sleep(0.05)

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        for _ in range(8):
            query.submit()

    assert f(return_state=True).message == "All states completed."
    assert busy.most <= 2
    assert in_use(home) == {"db": 0}


def test_every_limited_tag_needs_a_slot_and_tags_of_the_surroundings_count(home: Path) -> None:
    set_limit(home, "db", 5)
    set_limit(home, "api", 1)
    busy = Busy()

    @task(tags=["db", "free"])
    def both() -> None:
        with busy:
            time.sleep(0.02)

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        with tags("api"):
            for _ in range(4):
                both.submit()

    assert f(return_state=True).message == "All states completed."
    assert busy.most == 1


def test_waiting_for_a_slot_holds_no_worker_and_stops_no_other_task(home: Path) -> None:
    set_limit(home, "db", 1)
    release = threading.Event()

    @task(tags=["db"])
    def query() -> None:
        release.wait(30)

    @task
    def other() -> int:
        return 1

    @flow(task_runner=ConcurrentTaskRunner(max_workers=2))
    def f() -> Any:
        for _ in range(5):
            query.submit()
        value = other.submit().result()
        release.set()
        return value

    assert f() == 1


def test_a_waiting_run_is_pending_and_says_for_what(home: Path) -> None:
    set_limit(home, "db", 1)
    release = threading.Event()

    @task(tags=["db"])
    def query() -> None:
        release.wait(30)

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        runs = [query.submit(), query.submit()]
        deadline = time.monotonic() + 30
        while True:
            messages = {run.get_state().message for run in runs}
            if "Waiting for a free slot of tag 'db'." in messages:
                break
            assert time.monotonic() < deadline
            time.sleep(0.005)
        release.set()
        return "seen"

    assert f() == "seen"


def test_a_limit_of_zero_ends_the_run_instead_of_waiting_for_ever(home: Path) -> None:
    set_limit(home, "db", 0)

    @task(tags=["db"])
    def query() -> None:
        raise AssertionError("must not start")

    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        state = query.submit().wait()
        return state.name, state.message

    name, message = f()
    assert name == "Cancelled"
    assert "limit 0" in message


def test_a_slot_is_free_while_its_task_waits_to_be_tried_again(home: Path) -> None:
    set_limit(home, "db", 1)
    order: list[str] = []

    @task(tags=["db"], retries=1, retry_delay_seconds=1.0)
    def flaky() -> None:
        order.append(f"flaky {runtime.task_run.run_count}")
        if runtime.task_run.run_count == 1:
            raise ValueError

    @task(tags=["db"])
    def quick() -> None:
        order.append("quick")

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        first = flaky.submit()
        deadline = time.monotonic() + 30
        while first.get_state().name != "AwaitingRetry":
            assert time.monotonic() < deadline
            time.sleep(0.002)
        quick.submit()

    assert f(return_state=True).message == "All states completed."
    assert order == ["flaky 1", "quick", "flaky 2"]


@pytest.mark.parametrize("how", ["fails", "crashes", "times out"])
def test_a_slot_is_free_however_the_run_ends(how: str, home: Path) -> None:
    set_limit(home, "db", 1)

    class Odd(BaseException): ...

    @task(tags=["db"], timeout_seconds=0.05 if how == "times out" else None)
    def ends() -> None:
        if how == "times out":
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                time.sleep(0.005)
        raise Odd if how == "crashes" else ValueError

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> str:
        ends.submit().wait()
        ends.submit().wait()
        return "both ended"

    assert f() == "both ended"
    assert in_use(home) == {"db": 0}


def test_cached_and_blocked_runs_take_no_slot(home: Path) -> None:
    @task(tags=["db"], cache_key_fn=lambda context, arguments: "k")
    def cached() -> int:
        return 1

    @task
    def fail() -> None:
        raise ValueError

    @task(tags=["db"])
    def after(x: Any) -> None: ...

    @flow(task_runner=SequentialTaskRunner())
    def fill() -> Any:
        return cached.submit().result()

    @flow(task_runner=SequentialTaskRunner())
    def f() -> Any:
        return cached.submit().wait().name, after.submit(fail.submit()).wait().name

    fill()
    recording.close_all()
    set_limit(home, "db", 0)
    assert f() == ("Cached", "NotReady")


SCRIPT = """
import os, sys, time
from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner

@task(tags=["db"])
def query(folder):
    mine = os.path.join(folder, f"{os.getpid()}-{time.monotonic_ns()}")
    open(mine, "x").close()
    count = len(os.listdir(folder))
    time.sleep(0.02)
    os.unlink(mine)
    return count

@flow(task_runner=ConcurrentTaskRunner())
def f(folder):
    return max(future.result() for future in [query.submit(folder) for _ in range(6)])

print(f(sys.argv[1]))
"""

STUCK = """
import sys, time
from flowdeck import flow, task

@task(tags=["db"])
def query():
    print("inside", flush=True)
    time.sleep(600)

@flow
def f():
    query.submit()

f()
"""


def start(script: Path, home: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_limit_holds_over_processes(home: Path, tmp_path: Path) -> None:
    set_limit(home, "db", 1)
    script, folder = tmp_path / "script.py", tmp_path / "inside"
    script.write_text(SCRIPT)
    folder.mkdir()
    processes = [start(script, home, str(folder)) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=80)
        assert process.returncode == 0, err
        assert out.split()[-1] == "1"


def test_the_slot_of_a_killed_process_is_free_again(home: Path, tmp_path: Path) -> None:
    set_limit(home, "db", 1)
    script = tmp_path / "script.py"
    script.write_text(STUCK)
    process = start(script, home)
    assert process.stdout is not None
    assert any(line == "inside\n" for line in process.stdout)
    process.kill()
    process.communicate()

    @task(tags=["db"])
    def query() -> int:
        return 1

    @flow(name="after")
    def f() -> Any:
        return query.submit().result()

    assert f() == 1
    recording.close_all()
    recover(home)
    with Reader.open(home) as reader:
        states = {run.flow: run.state for run in reader.runs()}
    assert states == {"f": "Crashed", "after": "Completed"}
