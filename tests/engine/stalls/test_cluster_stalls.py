"""Flow runs that wait for what their cluster has not got: said within seconds, in the log and by `why`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import cancel_soon, identity, until
from flowdeck import flow
from flowdeck.settings import using
from flowdeck_app.reports.why import run_sentences, task_sentences
from flowdeck_store.events import now_us
from flowdeck_store.explain.flow_run import why_run
from flowdeck_store.explain.stall import stall_of
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.read.reader import Reader

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.long,
]  # tasks of several seconds on real clusters


def dask_block() -> Any:
    import dask

    return dask.annotate(resources={"widget": 3})


def ray_block() -> Any:
    from flowdeck.task_runners import remote_options

    return remote_options(resources={"widget": 3})


@pytest.fixture(
    params=[
        pytest.param("dask", marks=pytest.mark.dask),
        pytest.param("ray", marks=pytest.mark.ray),
    ]
)
def cluster(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A runner, and what has tasks ask for a resource that is not there."""
    if request.param == "dask":
        pytest.importorskip("distributed")
        from flowdeck.task_runners import DaskTaskRunner

        return DaskTaskRunner(address=request.getfixturevalue("dask_address")), dask_block
    pytest.importorskip("ray")
    from flowdeck.task_runners import RayTaskRunner

    return RayTaskRunner(address=request.getfixturevalue("ray_connected")), ray_block


@pytest.fixture
def no_workers(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler of Dask's without workers."""
    pytest.importorskip("distributed")
    from dask_programs import Programs

    with Programs(tmp_path, workers=0) as programs:
        yield programs.address


class Told:
    """What a live run says of standing still, and after how many seconds all of it did."""

    def __init__(self, home: Path) -> None:
        began = time.monotonic()
        self.warnings = until(lambda: self._warnings(home), 30)
        self.why = until(lambda: self._why(home), 30)
        self.seconds = time.monotonic() - began

    @staticmethod
    def _warnings(home: Path) -> list[str]:
        with Reader.open(home) as reader:
            run = reader.resolve_run("@last")
            return [row.message for row in reader.logs(run.id, 0, min_level=30)]

    @staticmethod
    def _why(home: Path) -> list[str]:
        with Reader.open(home) as reader:
            run = reader.resolve_run("@last")
            found = stall_of(reader, run)
            if found is None or not any(cause.kind == "engine" for cause in found.causes):
                return []
            (waits,) = reader.tasks_by_nos(run.id, [1])
            return [
                *run_sentences(why_run(reader, run, now_us()), now_us()),
                *task_sentences(why_task(reader, waits, now_us()), now_us()),
            ]


def test_a_resource_that_no_worker_has(cluster: tuple[Any, Any], home: Path) -> None:
    runner, asking = cluster

    @flow(task_runner=runner)
    def f() -> Any:
        with asking():
            future = identity.submit(1)
        identity.submit(future)
        told.append(Told(home))
        cancel_soon()
        return future.result()

    told: list[Told] = []
    with using(stall_seconds=1):
        # The flow's own code executes while it looks on: no stall, but `why` knows.
        assert f(return_state=True).is_cancelled()
    (said,) = told[0].warnings
    assert "widget=3" in said
    assert [text for text in told[0].why if "widget=3" in text]
    assert told[0].seconds < 5


@pytest.mark.dask
def test_no_workers(no_workers: str, home: Path) -> None:
    from flowdeck.task_runners import DaskTaskRunner

    @flow(task_runner=DaskTaskRunner(address=no_workers))
    def f() -> Any:
        future = identity.submit(1)
        told.append(Told(home))
        cancel_soon()
        return future.result()

    told: list[Told] = []
    with using(stall_seconds=1):
        assert f(return_state=True).is_cancelled()
    (said,) = told[0].warnings
    assert said.endswith(" has no workers, or none yet.")
    assert [text for text in told[0].why if " has no workers, or none yet." in text]
    assert told[0].seconds < 5


@pytest.mark.parametrize("seconds", [6.0])
def test_a_long_function_on_a_worker_is_no_stall(
    cluster: tuple[Any, Any], home: Path, seconds: float
) -> None:
    from flowdeck import task

    @task
    def long(seconds: float) -> int:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.01)
        return 1

    @flow(task_runner=cluster[0])
    def f() -> Any:
        return identity.submit(long.submit(seconds)).result()

    with using(stall_seconds=2.5):  # a worker's news that it has begun take a while
        identity_first = f(return_state=True)
    assert identity_first.is_completed()
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        states = {row.state: row.us for row in reader.states(run.id, 1)}
        said = list(reader.logs(run.id, 0, min_level=30))
    # Until it has begun there is a worker that has not: nothing else may be said.
    assert all(row.us <= states["Running"] for row in said), said
