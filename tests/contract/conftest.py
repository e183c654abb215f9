"""The runners that must all behave alike. A new runner adds itself here and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flowdeck.task_runners import (
    BaseTaskRunner,
    ConcurrentTaskRunner,
    ProcessTaskRunner,
    SequentialTaskRunner,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _loopback(shuffle: bool) -> BaseTaskRunner:
    """What the cluster runners have in common, without a cluster."""
    from loopback import LoopbackRunner

    return LoopbackRunner(shuffle)


#: Tests of what a temporary cluster has to do with the flow run it is for. The others are about what
#: happens in between, and use one that is started once: that takes longer than they do.
BEGIN_AND_END = {
    "test_a_submitted_task_gives_its_value",
    "test_async_flow_with_async_and_sync_tasks",
    "test_a_failed_task_fails_a_flow_that_returns_none",
    "test_system_exit_of_a_task_crashes_its_flow_at_the_end",
    "test_a_task_that_takes_too_long_is_timed_out",
    "test_a_cached_result_is_reused_in_later_runs",
    "test_completed_calls_are_taken_over_and_their_values_reach_what_runs",
    "test_one_runner_serves_several_flow_runs",
    "test_a_runner_is_started_once_and_only_then_takes_work",
    "test_a_flow_run_waits_for_all_its_tasks",
}


def _dask_local(request: pytest.FixtureRequest) -> BaseTaskRunner:
    """A temporary cluster of processes."""
    pytest.importorskip("distributed")
    from flowdeck.task_runners import DaskTaskRunner

    two: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1}
    if request.function.__name__ in BEGIN_AND_END:
        return DaskTaskRunner(cluster_kwargs=two)
    return DaskTaskRunner(
        cluster_class=request.getfixturevalue("lasting_cluster"), cluster_kwargs=two
    )


def _dask_programs(request: pytest.FixtureRequest) -> BaseTaskRunner:
    """A scheduler and two workers that were started as programs."""
    pytest.importorskip("distributed")
    from flowdeck.task_runners import DaskTaskRunner

    return DaskTaskRunner(address=request.getfixturevalue("dask_address"))


def _ray(request: pytest.FixtureRequest) -> BaseTaskRunner:
    """A head node that was started as a program, and that the process stays connected to."""
    pytest.importorskip("ray")
    from flowdeck.task_runners import RayTaskRunner

    return RayTaskRunner(address=request.getfixturevalue("ray_connected"))


RUNNERS: dict[str, tuple[Callable[[pytest.FixtureRequest], BaseTaskRunner], list[Any]]] = {
    "sequential": (lambda request: SequentialTaskRunner(), []),
    "concurrent": (lambda request: ConcurrentTaskRunner(), []),
    "concurrent-1": (lambda request: ConcurrentTaskRunner(max_workers=1), []),
    "transport": (lambda request: _loopback(shuffle=False), []),
    "transport-shuffled": (lambda request: _loopback(shuffle=True), []),
    "process": (lambda request: ProcessTaskRunner(max_workers=3), []),
    "dask": (_dask_programs, [pytest.mark.dask]),
    "dask-local": (_dask_local, [pytest.mark.dask, pytest.mark.slow, pytest.mark.long]),
    "ray": (_ray, [pytest.mark.ray]),
}


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, (_, marks) in RUNNERS.items()])
def runner(request: pytest.FixtureRequest) -> Any:
    """A task runner, not started."""
    return RUNNERS[request.param][0](request)


@pytest.fixture
def overlapping(runner: BaseTaskRunner) -> BaseTaskRunner:
    """A runner whose tasks may overlap; others are skipped."""
    if runner.name == "sequential" or getattr(runner, "max_workers", None) == 1:
        pytest.skip("its tasks do not overlap")
    return runner
