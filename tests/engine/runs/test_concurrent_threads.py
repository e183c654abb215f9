"""How many threads the concurrent runner uses: as many as wait, few that compute."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest

from flowdeck import flow, task
from flowdeck.task_runners import ConcurrentTaskRunner, thread_pool
from flowdeck.task_runners.thread_pool import FEW, ThreadPool
from flowdeck.testing import run_in_memory


@pytest.fixture(autouse=True)
def _in_memory() -> Any:
    with run_in_memory():
        yield


def meet(runner: ConcurrentTaskRunner, n: int) -> float:
    """Run ``n`` tasks that all wait for each other; return the seconds it took."""
    barrier = threading.Barrier(n, timeout=30)

    @task
    def wait() -> None:
        barrier.wait()

    @flow(task_runner=runner)
    def all_at_once() -> None:
        for _ in range(n):
            wait.submit()

    began = time.perf_counter()
    assert all_at_once(return_state=True).is_completed()
    return time.perf_counter() - began


def test_100_tasks_that_wait_for_each_other_soon_all_execute() -> None:
    """Forty times what it takes on a quiet machine."""
    assert meet(ConcurrentTaskRunner(), 100) < 8


def test_a_limit_that_is_given_is_used_at_once() -> None:
    runner = ConcurrentTaskRunner(max_workers=60)
    assert meet(runner.duplicate(), 60) < 8
    assert runner._threads._most == 60


@pytest.mark.long  # counts threads by how busy the processor is: other processes change that
def test_threads_are_few_while_tasks_keep_the_processor_busy() -> None:
    threads = set()

    @task
    def compute() -> None:
        threads.add(threading.get_ident())
        end = time.thread_time() + 0.002
        while time.thread_time() < end:
            pass

    @flow(task_runner=ConcurrentTaskRunner())
    def work() -> None:
        for _ in range(150):
            compute.submit()

    assert work(return_state=True).is_completed()
    assert len(threads) <= 4 * FEW


def test_workers_are_added_when_what_computes_waits_for_what_is_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        thread_pool._Measurement, "is_waste", lambda self: False
    )  # as on a busy machine
    monkeypatch.setattr(thread_pool, "_STANDSTILL_S", 0.05)
    started = itertools.count(1)
    enough = threading.Event()

    @task
    def wait() -> None:
        if next(started) == 2 * FEW:
            enough.set()
        enough.wait(30)

    @flow(task_runner=ConcurrentTaskRunner())
    def spin() -> bool:
        futures = [wait.submit() for _ in range(2 * FEW)]
        end = time.monotonic() + 25
        while not enough.is_set() and time.monotonic() < end:
            pass
        return enough.is_set() and all(f.wait().is_completed() for f in futures)

    assert spin()


def test_a_stopped_pool_sends_all_its_workers_home() -> None:
    """Also those that are busy when it is stopped."""
    go = threading.Event()
    busy = threading.Barrier(FEW + 1, timeout=30)
    workers = []

    def work(execution: Any) -> None:
        workers.append(threading.get_ident())
        busy.wait()
        go.wait(30)

    pool = ThreadPool(250, work, first=FEW)
    for _ in range(FEW):
        pool.add(object())  # type: ignore[arg-type]
    busy.wait()
    pool.stop()
    go.set()
    end = time.monotonic() + 30
    while pool._slots and time.monotonic() < end:
        time.sleep(0.005)
    assert (pool._slots, len(workers)) == (0, FEW)
