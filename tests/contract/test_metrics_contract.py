"""What a task used is recorded under every task runner, and agrees with what the kernel says."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flowdeck import flow, task
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck.task_runners import BaseTaskRunner
    from flowdeck_store.read.records import TaskRunRecord
    from flowdeck_store.usage import SampleRecord

pytestmark = pytest.mark.timeout(120)
MB = 1_000_000


@task
def burn(seconds: float) -> float:
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    return time.thread_time() - began


@task
def allocate(size: int) -> int:
    block = bytearray(size)
    block[::1024] = b"x" * len(range(0, size, 1024))  # pages that are not written on are not there
    return len(block)


def recorded(home: Path) -> tuple[list[TaskRunRecord], list[SampleRecord]]:
    recording.close_all()
    with Reader.open(home) as reader:
        return reader.tasks(1), reader.samples(1)


def test_the_processor_time_of_a_task_is_recorded(runner: BaseTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def work() -> float:
        return burn.submit(0.2).result()

    with using(home=tmp_path, console=False):
        told = work()
        (first,), _ = recorded(tmp_path)
    assert first.usage is not None
    assert first.usage.cpu_seconds is not None
    assert told - 0.01 <= first.usage.cpu_seconds < told + 1


def test_nothing_is_measured_if_it_is_not_wanted(runner: BaseTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def work() -> float:
        return burn.submit(0.05).result()

    with using(home=tmp_path, console=False, metrics=False, metrics_seconds=0.01):
        work()
        (first,), samples = recorded(tmp_path)
    assert first.usage is None
    assert samples == []


@pytest.mark.dask
def test_a_dask_worker_says_what_is_stored_there(dask_address: str, tmp_path: Path) -> None:
    from flowdeck.task_runners import DaskTaskRunner

    @task
    def make() -> bytes:
        return bytes(MB)

    @task
    def look(made: bytes) -> None:  # where it was made, or where a copy of it is now
        burn.fn(0.3)

    @flow(task_runner=DaskTaskRunner(address=dask_address))
    def work() -> None:
        look.submit(make.submit()).wait()

    with using(home=tmp_path, console=False, metrics_seconds=0.05):
        work()
        _, samples = recorded(tmp_path)
    most = max(samples, key=lambda sample: sample.stored or 0)
    assert most.worker
    assert most.stored is not None
    assert MB <= most.stored < 2 * MB
    assert most.stored_count
    assert all(sample.stored is None for sample in samples if not sample.worker)


@pytest.mark.long  # allocates half a gigabyte and burns three seconds under each runner
def test_half_a_gigabyte_and_three_seconds(runner: BaseTaskRunner, tmp_path: Path) -> None:
    @flow(task_runner=runner)
    def work() -> float:
        allocate.submit(500 * MB).wait()
        return burn.submit(3).result()

    with using(home=tmp_path, console=False, metrics_seconds=0.2):
        told = work()
        (big, busy), samples = recorded(tmp_path)
    assert big.usage is not None
    assert busy.usage is not None
    assert busy.usage.cpu_seconds is not None
    # Of a process that is the task's alone, the engine's threads count too: some percent of the time.
    others = 0.1 * (busy.duration or 0)
    assert told - 0.3 <= busy.usage.cpu_seconds <= told + 0.3 + others
    in_workers = {"ProcessTaskRunner", "DaskTaskRunner", "RayTaskRunner"}
    if type(runner).__name__ in in_workers and big.usage.peak is not None:
        assert 500 * MB <= big.usage.peak < 1200 * MB
        assert big.usage.growth is not None
        assert big.usage.growth < 100 * MB  # it gave the block back
    assert max(sample.cpu for sample in samples) > 20
