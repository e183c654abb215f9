"""Flows of a size that breaks engines: wide, deep, and tasks that wait for tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import ConcurrentTaskRunner
from flowdeck_store.read.reader import Reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@task
def same(x: Any) -> Any:
    return x


@task
def total(xs: list[int]) -> int:
    return sum(xs)


@task
def deeper(n: int) -> int:
    if n == 0:
        return 0
    below: int = deeper.submit(n - 1).result()
    return below + 1


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    from flowdeck import settings

    monkeypatch.setenv("FLOWDECK_CONSOLE", "false")
    settings.reload()


def test_a_chain_of_20000_dependent_tasks_finishes() -> None:
    @flow
    def chain() -> Any:
        x: Any = 7
        for _ in range(20_000):
            x = same.submit(x)
        return x.result()

    assert chain() == 7


def test_a_chain_of_20000_that_fails_at_its_start_falls_at_once() -> None:
    @task
    def bad() -> None:
        raise ValueError

    @flow
    def chain() -> Any:
        gate = bad.submit()
        x: Any = gate
        for _ in range(20_000):
            x = same.submit(x)
        return x.wait().name

    assert chain() == "NotReady"


def test_a_fan_in_of_20000_finishes() -> None:
    @flow
    def fan_in() -> Any:
        return total.submit([same.submit(1) for _ in range(20_000)]).result()

    assert fan_in() == 20_000


@pytest.mark.long
def test_500_tasks_that_each_wait_for_500_finish() -> None:
    @flow
    def all_of_all() -> None:
        same.map(range(500), wait_for=same.map(range(500)))

    assert all_of_all(return_state=True).message == "All states completed."


@pytest.mark.parametrize("workers", [1, 2, None])
def test_tasks_that_wait_for_tasks_do_not_deadlock(workers: int | None) -> None:
    @flow(task_runner=ConcurrentTaskRunner(max_workers=workers))
    def nested() -> Any:
        return [f.result() for f in deeper.map([30, 20, 10])]

    assert nested() == [30, 20, 10]


def test_never_more_than_max_workers_execute_at_once() -> None:
    import threading
    import time

    lock = threading.Lock()
    now, most = 0, 0

    @task
    def busy() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    @task
    def parent() -> None:
        busy.submit().wait()
        busy.submit().wait()

    @flow(task_runner=ConcurrentTaskRunner(max_workers=3))
    def f() -> None:
        for _ in range(40):
            parent.submit()

    assert f(return_state=True).is_completed()
    assert most <= 3


_HUNDRED_THOUSAND = """
import os, sys
from flowdeck import flow, task
from flowdeck.runs import recorder as recording

@task
def same(x):
    return x

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

held = []

@flow
def wide(n):
    futures = same.map(range(n))
    for future in futures:
        future.wait()
    del futures
    recording.recorder().flush(120)
    held.append(resident())

wide(2_000)
state = wide(100_000, return_state=True)
assert state.message == "All states completed.", state
print((held[1] - held[0]) // 98_000)
"""


def test_100000_tasks_finish_within_their_memory(home: Any) -> None:
    env = {**os.environ, "FLOWDECK_HOME": str(home), "FLOWDECK_CONSOLE": "false"}
    out = subprocess.run(
        [sys.executable, "-c", _HUNDRED_THOUSAND], env=env, capture_output=True, text=True
    )
    assert out.returncode == 0, out.stderr
    assert int(out.stdout) < 1500  # bytes a finished task
    recording.close_all()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        assert run.n_tasks == 100_000
        assert run.state == "Completed"
