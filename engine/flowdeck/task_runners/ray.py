"""Tasks on Ray: a temporary local instance, an existing cluster, or one behind ``ray://``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.task_runners import ray_connection
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType
from flowdeck.task_runners.ray_options import remote_options
from flowdeck.task_runners.ray_session import Session

if TYPE_CHECKING:
    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun

__all__ = ["RayTaskRunner", "remote_options"]


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
        ValueError: ``init_kwargs`` has an address.
    """

    tracks_dependencies: ClassVar[bool] = True

    def __init__(
        self, address: str | None = None, init_kwargs: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        if init_kwargs and "address" in init_kwargs:
            raise ValueError(
                "Give the address as RayTaskRunner(address=...), not inside init_kwargs."
            )
        self.address = address
        self.init_kwargs = {"namespace": "flowdeck", **(init_kwargs or {})}
        self._session: Session | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        return TaskConcurrencyType.PARALLEL

    def _start(self, flow_run: FlowRun) -> None:
        connection = ray_connection.attach(self.address, self.init_kwargs, self.logger)
        try:
            self._session = Session(flow_run, connection)
        except BaseException:
            connection.release()
            raise

    def _stop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _submit(self, run: TaskRun) -> None:
        assert self._session is not None
        self._session.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Ray itself can wait for this upstream."""
        session = self._session
        return session is not None and super().tracks(run) and session.tracks(run)

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits for a worker; else interrupt its function, and end its worker
        if that does not help."""
        super().cancel(run)
        if self._session is not None:
            self._session.cancel(run)

    def drop_queued(self) -> list[TaskRun]:
        session = self._session
        return [] if session is None else session.drop_queued()
