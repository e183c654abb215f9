"""Workers that are killed while they have much memory: every task runner says so in the same words."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck import flow, task
from flowdeck.settings import using
from flowdeck.task_runners import ProcessTaskRunner
from flowdeck_store import kills
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.timeout(120)


def _dask() -> Any:
    pytest.importorskip("distributed")
    from flowdeck.task_runners import DaskTaskRunner

    return DaskTaskRunner(cluster_kwargs={"n_workers": 1, "threads_per_worker": 1})


def _ray() -> Any:
    pytest.importorskip("ray")
    from flowdeck.task_runners import RayTaskRunner

    return RayTaskRunner(init_kwargs={"num_cpus": 1})


CLUSTER = [pytest.mark.slow, pytest.mark.long]  # starts a cluster for one message
RUNNERS = [
    pytest.param(lambda: ProcessTaskRunner(max_workers=1), id="process"),
    pytest.param(_dask, marks=[pytest.mark.dask, *CLUSTER], id="dask"),
    pytest.param(_ray, marks=[pytest.mark.ray, *CLUSTER], id="ray"),
]


@task
def die_when_told(path: str) -> None:
    """Use some memory until it is in a sample, then be killed as the kernel kills."""
    block = b"x" * 50_000_000
    while not Path(path).exists():
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)
    assert block


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("counted", [False, True], ids=["near the limit", "the kernel counted it"])
def test_a_worker_that_is_killed_for_its_memory_says_so_with_its_last_sample(
    runner: Callable[[], Any], counted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "NEAR", 0.0)
    counts = [0]
    monkeypatch.setattr(kills, "count", lambda: counts[0])
    told = tmp_path / "die"
    made = runner()

    @flow(task_runner=made)
    def work() -> Any:
        doomed = die_when_told.submit(str(told))
        deadline = time.monotonic() + 60
        while not has_sample(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        counts[0] += counted
        told.touch()
        return doomed.wait().message

    with using(home=tmp_path, console=False, metrics_seconds=0.05):
        message = work()
    said = (
        "Out of memory, says the kernel: the last"
        if counted
        else "Probably out of memory: the last"
    )
    assert f"{said} sample said " in message
    assert "MB" in message or "GB" in message
    assert "died" in message or "was killed by SIGKILL" in message


def has_sample(home: Path) -> bool:
    with Reader.open(home) as reader:
        return any(sample.worker and sample.memory > 40_000_000 for sample in reader.samples(1))
