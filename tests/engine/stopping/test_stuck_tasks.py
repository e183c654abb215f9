"""Task runs that ask for what their cluster has not got: said within seconds, and they can be ended."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from clusters import cancel_soon, identity, until
from flowdeck import flow
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)


def dask_block(**resources: Any) -> Any:
    import dask

    return dask.annotate(resources=resources)


def ray_block(**resources: Any) -> Any:
    from flowdeck.task_runners import remote_options

    cpus = resources.pop("CPU", None)
    return remote_options(resources=resources, **({} if cpus is None else {"num_cpus": cpus}))


@pytest.fixture(
    params=[
        pytest.param("dask", marks=pytest.mark.dask),
        pytest.param("ray", marks=pytest.mark.ray),
    ]
)
def cluster(request: pytest.FixtureRequest) -> tuple[Any, Callable[..., Any]]:
    """A runner, and what has tasks ask for resources."""
    if request.param == "dask":
        pytest.importorskip("distributed")
        from flowdeck.task_runners import DaskTaskRunner

        return DaskTaskRunner(address=request.getfixturevalue("dask_address")), dask_block
    pytest.importorskip("ray")
    from flowdeck.task_runners import RayTaskRunner

    return RayTaskRunner(address=request.getfixturevalue("ray_connected")), ray_block


def messages(home: Path) -> list[str]:
    """What the states of the task run of the run that goes on say."""
    with contextlib.suppress(Exception), Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        return [row.message for row in reader.states(run.id, 1) if row.message]
    return []


def test_a_resource_that_no_worker_has_is_said_in_log_and_state_and_the_run_can_be_cancelled(
    cluster: tuple[Any, Callable[..., Any]], home: Path
) -> None:
    runner, asking = cluster

    @flow(task_runner=runner)
    def f() -> Any:
        with asking(widget=3):
            future = identity.submit(1)
        assert identity.submit(2).result() == 2  # others go on
        until(lambda: [m for m in messages(home) if "widget=3" in m])
        cancel_soon()
        return future.result()

    state = f(return_state=True)
    assert state.is_cancelled(), state
    with Reader.open(home) as reader:
        run = reader.resolve_run("@last")
        stuck, other = reader.tasks(run.id)
        lines = [row.message for row in reader.logs(run.id, 0) if row.level >= 30]
    assert (stuck.state, other.state) == ("Cancelled", "Completed")
    (said,) = [text for text in lines if "widget=3" in text]
    assert said.startswith(f"Task run {stuck.name!r}: Waits for what no ")
    assert "it asks for " in said
    assert "there " in said


@pytest.mark.ray
def test_more_cpus_than_any_node_of_ray_has(ray_connected: str, home: Path) -> None:
    from flowdeck.task_runners import RayTaskRunner

    @flow(task_runner=RayTaskRunner(address=ray_connected))
    def f() -> Any:
        with ray_block(CPU=64):
            future = identity.submit(1)
        until(lambda: [m for m in messages(home) if "CPU=64" in m])
        cancel_soon()
        return future.result()

    assert f(return_state=True).is_cancelled()
    (said,) = [m for m in messages(home) if "CPU=64" in m]
    assert "there is 1 node with CPU=2" in said


@pytest.mark.dask
def test_a_worker_that_is_not_there(dask_address: str, home: Path) -> None:
    import dask

    from flowdeck.task_runners import DaskTaskRunner

    @flow(task_runner=DaskTaskRunner(address=dask_address))
    def f() -> Any:
        with dask.annotate(workers=["tcp://127.0.0.1:9"], allow_other_workers=False):
            future = identity.submit(1)
        until(lambda: [m for m in messages(home) if "tcp://127.0.0.1:9;" in m])
        cancel_soon()
        return future.result()

    assert f(return_state=True).is_cancelled()
