"""Flows inside flows, each on a runner of its own, on real clusters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from clusters import identity, where
from flowdeck import flow, task
from flowdeck.runs import recorder as recording
from flowdeck.task_runners import DaskTaskRunner, RayTaskRunner, SequentialTaskRunner
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("distributed")
pytest.importorskip("ray")

pytestmark = [pytest.mark.dask, pytest.mark.ray, pytest.mark.timeout(180)]


@pytest.fixture
def on_dask(dask_address: str) -> DaskTaskRunner:
    """A runner on a scheduler and two workers."""
    return DaskTaskRunner(address=dask_address)


@pytest.fixture
def on_ray(ray_connected: str) -> RayTaskRunner:
    """A runner on a Ray that this process is connected to."""
    return RayTaskRunner(address=ray_connected)


def recorded(home: Path) -> dict[str, tuple[str | None, str, str | None, int]]:
    """Return runner, state, parent's flow and number of task runs of each flow's last run."""
    recording.close_all()
    with Reader.open(home) as reader:
        runs = {run.id: run for run in reader.runs(order="oldest", limit=100)}
        found = {}
        for run in runs.values():
            parent = None if run.parent_task is None else runs[run.parent_task >> 24]
            rows = reader.tasks(run.id, limit=100)
            assert all(row.state == "Completed" for row in rows)
            flow_name = None if parent is None else parent.flow
            found[run.flow] = run.runner, run.state, flow_name, len(rows)
        return found


big = bytes(100_000)


@pytest.mark.parametrize("outside", ["dask", "ray", "sequential"])
@pytest.mark.parametrize("inside", ["dask", "ray"])
def test_a_subflow_on_another_runner(
    on_dask: Any, on_ray: Any, outside: str, inside: str, home: Path
) -> None:
    runners = {"dask": on_dask, "ray": on_ray, "sequential": SequentialTaskRunner()}

    @flow(task_runner=runners[inside])
    def child(given: Any) -> Any:
        # What is big has stayed on the cluster of the parent, and goes to that of the child.
        return where.submit().result(), identity.submit(given)

    @flow(task_runner=runners[outside])
    def parent() -> Any:
        first = identity.submit(big)
        there, kept = child(first)
        pid = where.submit(wait_for=[kept]).result()
        return pid, there, len(identity.submit(kept).result())

    pid, there, size = parent()
    assert size == len(big)
    assert there != os.getpid()
    assert (pid == os.getpid()) == (outside == "sequential")
    assert recorded(home) == {
        "parent": (outside, "Completed", None, 3 + 1),
        "child": (inside, "Completed", "parent", 2),
    }


@pytest.mark.anyio
@pytest.mark.parametrize(("outside", "inside"), [("dask", "ray"), ("ray", "dask")])
async def test_async_flows_inside_each_other_at_the_same_time(
    on_dask: Any, on_ray: Any, outside: str, inside: str, home: Path
) -> None:
    import asyncio

    runners = {"dask": on_dask, "ray": on_ray}

    @task
    async def double(x: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * x

    @flow(task_runner=runners[inside])
    async def child(x: int) -> Any:
        futures = await double.map([x, x + 1])
        return [await future.result() for future in futures]

    @flow(task_runner=runners[outside])
    async def parent() -> Any:
        first = await double.submit(1)
        found = await asyncio.gather(*[child(x) for x in range(4)])
        return await first.result(), found

    assert await parent() == (2, [[2 * x, 2 * x + 2] for x in range(4)])
    assert recorded(home)["child"] == (inside, "Completed", "parent", 2)


def test_a_failed_subflow_on_ray_blocks_what_needs_it_on_dask(on_dask: Any, on_ray: Any) -> None:
    @task
    def fail() -> None:
        raise ValueError("on Ray")

    @flow(task_runner=on_ray)
    def child() -> Any:
        return fail.submit()

    @flow(task_runner=on_dask)
    def parent() -> Any:
        state: Any = child(return_state=True)
        after = identity.submit(state)
        return state.name, after.wait().name, identity.submit(1).result()

    assert parent() == ("Failed", "NotReady", 1)


@pytest.mark.long
def test_a_flow_called_inside_a_dask_task_may_have_a_ray_of_its_own(
    on_dask: Any, home: Path
) -> None:
    @flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 1}))
    def on_a_ray(x: int) -> Any:
        return where.submit().result(), identity.submit(x).result()

    @task
    def call(x: int) -> Any:
        import os

        return os.getpid(), on_a_ray(x)

    @flow(task_runner=on_dask)
    def f() -> Any:
        return call.submit(7).result()

    worker, (ray_worker, value) = f()
    assert value == 7
    assert len({os.getpid(), worker, ray_worker}) == 3
    assert recorded(home)["f"] == ("dask", "Completed", None, 1)


def test_a_flow_called_inside_a_ray_task_may_have_a_dask_of_its_own(
    on_ray: Any, home: Path
) -> None:
    cluster = {"n_workers": 1, "threads_per_worker": 1}

    @flow(task_runner=DaskTaskRunner(cluster_kwargs=cluster))
    def on_a_dask(x: int) -> Any:
        return where.submit().result(), identity.submit(x).result()

    @task
    def call(x: int) -> Any:
        import os

        return os.getpid(), on_a_dask(x)

    @flow(task_runner=on_ray)
    def f() -> Any:
        return call.submit(7).result()

    worker, (dask_worker, value) = f()
    assert value == 7
    assert len({os.getpid(), worker, dask_worker}) == 3
    assert recorded(home)["f"] == ("ray", "Completed", None, 1)
