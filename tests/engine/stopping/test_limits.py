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

from flowdeck import flow, runtime, settings, tags, task
from flowdeck.runs import recorder as recording
from flowdeck.runs.stopping import stop_runs
from flowdeck.runs.task_run import Stop
from flowdeck.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from flowdeck_store.read.reader import Reader
from flowdeck_store.record.limits import list_limits, set_limit
from flowdeck_store.upkeep.liveness import recover

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


def test_a_waiting_run_awaits_a_slot_and_says_of_which_tag(home: Path) -> None:
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
            states = [run.get_state() for run in runs]
            waiting = [state for state in states if state.name == "AwaitingConcurrencySlot"]
            if waiting:
                assert waiting[0].is_scheduled()
                assert waiting[0].message == "Waiting for a free slot of tag 'db'."
                break
            assert time.monotonic() < deadline
            time.sleep(0.005)
        release.set()
        return "seen"

    assert f() == "seen"


def test_many_that_wait_go_in_order_and_ask_the_store_when_it_is_their_turn(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limit(home, "db", 1)
    order: list[int] = []
    asked: list[int] = []
    started = threading.Event()

    @task(tags=["db"])
    def query(i: int) -> None:
        if i == 0:
            started.set()
            all_wait.wait(60)
        order.append(i)

    all_wait = threading.Event()

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> None:
        store = recording.recorder()
        acquire = store.acquire_slots

        def counting(tags: Any, uid: str, no: int) -> Any:
            asked.append(no)
            return acquire(tags, uid, no)

        monkeypatch.setattr(store, "acquire_slots", counting)
        first = query.submit(0)
        assert started.wait(60)
        rest = []
        for i in range(1, 60):
            rest.append(query.submit(i))
            deadline = time.monotonic() + 60
            while not str(rest[-1].get_state().message).startswith("Waiting for a free slot"):
                assert time.monotonic() < deadline
                time.sleep(0.001)
        all_wait.set()
        first.wait()

    assert f(return_state=True).message == "All states completed."
    assert order == list(range(60))
    # One that waits behind others asks when the one before it is through; the first may ask before.
    assert len([no for no in asked if no > 2]) <= 2 * 58


def test_a_task_without_limited_tags_does_not_ask_the_store(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_limit(home, "db", 1)

    @task(tags=["other"])
    def free() -> int:
        return 1

    @flow
    def f() -> Any:
        store = recording.recorder()
        monkeypatch.setattr(store, "acquire_slots", lambda *_: pytest.fail("asked"))
        return free.submit().result(), free()

    assert f() == (1, 1)


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


def test_a_function_that_hangs_for_good_holds_up_nobody_for_ever(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    set_limit(home, "db", 1)
    release = threading.Event()

    @task(tags=["db"], timeout_seconds=0.05, retries=1)
    def hangs() -> None:
        while not release.is_set():
            try:
                release.wait(0.02)
            except BaseException:
                pass

    @task(tags=["db"])
    def quick() -> str:
        return "done"

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        state = hangs.submit().wait()
        return state.name, quick.submit().result()

    try:
        with settings.using(left_behind_seconds=0.1):
            assert f() == ("TimedOut", "done")
    finally:
        release.set()
    assert "the next try starts beside it" in caplog.text


def test_a_task_that_is_cancelled_while_it_waits_for_its_last_try_to_leave_keeps_its_slot(
    home: Path,
) -> None:
    set_limit(home, "db", 1)
    release = threading.Event()

    @task(tags=["db"], timeout_seconds=0.05, retries=1)
    def stubborn() -> None:
        while not release.is_set():
            try:
                release.wait(0.02)
            except BaseException:
                pass

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        future = stubborn.submit()
        deadline = time.monotonic() + 30
        while future.get_state().name != "AwaitingRetry":
            assert time.monotonic() < deadline
            time.sleep(0.002)
        stop_runs([future.task_run], Stop.CANCEL)
        name = future.wait().name
        meanwhile = in_use(home)
        release.set()
        return name, meanwhile

    assert f() == ("Cancelled", {"db": 1})
    deadline = time.monotonic() + 30
    while in_use(home) != {"db": 0}:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_task_that_was_cancelled_and_goes_on_keeps_its_slot(home: Path) -> None:
    set_limit(home, "db", 1)
    release, started = threading.Event(), threading.Event()

    @task(tags=["db"])
    def stubborn() -> None:
        started.set()
        while not release.is_set():
            try:
                release.wait(0.02)
            except BaseException:
                pass

    @flow(task_runner=ConcurrentTaskRunner())
    def f() -> Any:
        future = stubborn.submit()
        assert started.wait(30)
        stop_runs([future.task_run], Stop.CANCEL)
        name = future.wait().name
        meanwhile = in_use(home)
        release.set()
        return name, meanwhile

    assert f() == ("Cancelled", {"db": 1})
    deadline = time.monotonic() + 30
    while in_use(home) != {"db": 0}:
        assert time.monotonic() < deadline
        time.sleep(0.005)


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
