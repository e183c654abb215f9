"""Tasks on Ray: a temporary local instance, an existing cluster, or one behind ``ray://``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.task_runners import option_checks
from flowdeck.task_runners._ray.connection import attach
from flowdeck.task_runners._ray.options import remote_options
from flowdeck.task_runners._ray.ray_run import RayRun
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun

__all__ = ["RayTaskRunner", "describe_cluster", "remote_options"]

_MANAGED = {
    "address": "Give the address as RayTaskRunner(address=...), not inside init_kwargs.",
}
_INIT_ARGUMENTS = frozenset(
    {
        "num_cpus", "num_gpus", "resources", "labels", "object_store_memory", "local_mode",
        "ignore_reinit_error", "include_dashboard", "dashboard_host", "dashboard_port",
        "job_config", "configure_logging", "logging_level", "logging_format", "logging_config",
        "log_to_driver", "namespace", "runtime_env", "enable_resource_isolation", "cgroup_path",
        "system_reserved_cpu", "system_reserved_memory", "proxy_server_url", "allow_multiple",
    }
)  # fmt: skip
_NUMBERS = frozenset({"num_cpus", "num_gpus", "object_store_memory"})


class RayTaskRunner(BaseTaskRunner):
    """Runs tasks in Ray's worker processes.

    Values stay on the cluster until somebody asks for them, and go from task to task there.
    States, logs and prints come back while the tasks run.

    Args:
        address: of a running Ray: ``ray://HOST:10001`` (its client server), ``HOST:6379`` (its
            head node, from a machine of the cluster), or ``auto`` (the one on this machine).
            Default: a temporary local instance, which ends with the flow run; if the process is
            connected to Ray already, that is used and left running.
        init_kwargs: further arguments for ``ray.init``, for example ``{"num_cpus": 4}``.

    Raises:
        ValueError: ``init_kwargs`` has an address, or a number that is none.
        TypeError: an option of a wrong type, or a mistyped argument.
    """

    places_resources: ClassVar[bool] = True
    tracks_dependencies: ClassVar[bool] = True

    def __init__(
        self, address: str | None = None, init_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.address = option_checks.address(address, "ray://host:10001")
        given = option_checks.arguments(
            "init_kwargs", init_kwargs, _INIT_ARGUMENTS, managed=_MANAGED, numbers=_NUMBERS
        )
        self.init_kwargs = {"namespace": "flowdeck", **given}
        self._ray_run: RayRun | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.PARALLEL

    def _start(self, flow_run: FlowRun) -> None:
        connection = attach(self.address, self.init_kwargs, self.logger)
        try:
            self._ray_run = RayRun(flow_run, connection)
        except BaseException:
            connection.release()
            raise

    def _stop(self) -> None:
        ray_run, self._ray_run = self._ray_run, None
        if ray_run is not None:
            ray_run.close()

    def _submit(self, run: TaskRun) -> None:
        assert self._ray_run is not None
        self._ray_run.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Ray itself can wait for this upstream."""
        ray_run = self._ray_run
        return ray_run is not None and super().tracks(run) and ray_run.tracks(run)

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits for a worker; else interrupt its function, and end its worker
        if that does not help."""
        super().cancel(run)
        if self._ray_run is not None:
            self._ray_run.cancel(run)

    def why_not_started(self, run: TaskRun) -> str | None:
        """Return why the engine cannot start a run, if it is for what no worker has."""
        return None if self._ray_run is None else self._ray_run.stuck.reason_of(run)

    def awaited_by_engine(self, run: TaskRun) -> tuple[TaskRun, ...]:
        """Return the upstreams that the engine waits for."""
        return () if self._ray_run is None else self._ray_run.stuck.awaited_by(run)

    def pass_answer(self, answer: bytes) -> None:
        """Leave the answer to a question where the worker that asks looks for it."""
        if self._ray_run is not None:
            self._ray_run.pass_answer(answer)

    def drop_queued(self) -> list[TaskRun]:
        ray_run = self._ray_run
        return [] if ray_run is None else ray_run.drop_queued()


def describe_cluster(address: str) -> str:
    """Ask a Ray what runs there, and whether it fits.

    Args:
        address: ``ray://host:10001``, or ``host:6379`` of a head node.

    Raises:
        OSError, RuntimeError: it does not answer, or flows cannot run there.
    """
    from flowdeck.task_runners._ray.connection_thread import describe

    return describe(address)
