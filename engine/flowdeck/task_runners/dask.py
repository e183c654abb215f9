"""Tasks on a Dask cluster: a temporary one for the flow run, or one that runs already.

This module imports without Dask, so that files which mention the runner can be read, listed, and
run with another one, where Dask is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.exceptions import ConfigurationError
from flowdeck.task_runners import option_checks
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from flowdeck.runs.flow_run import FlowRun
    from flowdeck.runs.task_run import TaskRun
    from flowdeck.task_runners._dask.dask_run import DaskRun

_DEFAULT_CLASS = "distributed.LocalCluster"
_MANAGED = "asynchronous"
_WHERE = frozenset({"address", "cluster"})
_HOW = frozenset({"cluster_class", "cluster_kwargs", "adapt_kwargs"})
#: What Dask's own local cluster takes, and its workers with it.
_CLUSTER_ARGUMENTS = frozenset(
    {
        "name", "n_workers", "threads_per_worker", "processes", "loop", "start", "host", "ip",
        "scheduler_port", "silence_logs", "dashboard_address", "worker_dashboard_address",
        "services", "worker_services", "service_kwargs", "security", "protocol",
        "blocked_handlers", "interface", "worker_class", "scheduler_kwargs",
        "scheduler_sync_interval", "diagnostics_port",
        "scheduler_ip", "scheduler_file", "scheduler_sni", "worker_port", "nthreads",
        "local_directory", "memory_limit", "reconnect", "validate", "quiet", "resources",
        "death_timeout", "preload", "preload_argv", "preload_nanny", "preload_nanny_argv",
        "contact_address", "listen_address", "env", "port", "config", "executor",
        "heartbeat_interval", "extensions", "metrics", "startup_information", "dashboard",
        "http_prefix", "nanny", "plugins", "low_level_profiler", "profile_cycle_interval",
        "lifetime", "lifetime_stagger", "lifetime_restart", "transition_counter_max", "data",
        "WorkerStateClass",
    }
)  # fmt: skip
_NUMBERS = frozenset({"n_workers", "threads_per_worker"})
_ADAPT_ARGUMENTS = frozenset(
    {
        "Adaptive", "minimum", "maximum", "minimum_cores", "maximum_cores", "minimum_memory",
        "maximum_memory", "minimum_jobs", "maximum_jobs", "interval", "wait_count",
        "target_duration", "worker_key",
    }
)  # fmt: skip
_CLIENT_ARGUMENTS = frozenset(
    {
        "address", "loop", "timeout", "set_as_default", "scheduler_file", "security", "name",
        "heartbeat_interval", "serializers", "deserializers", "extensions", "direct_to_workers",
        "connection_limit",
    }
)  # fmt: skip


class DaskTaskRunner(BaseTaskRunner):
    """Runs submitted tasks on the workers of a Dask cluster.

    Without ``address`` a temporary cluster is started for the flow run and ends with it.

    Args:
        address: Address of a running Dask scheduler, such as "tcp://host:8786".
        cluster_class: What makes the temporary cluster: a class, its import path, or a function.
            Default: "distributed.LocalCluster".
        cluster_kwargs: Arguments for cluster_class, such as {"n_workers": 4}.
        adapt_kwargs: Arguments for adaptive scaling, such as {"minimum": 1, "maximum": 10}; without
            them the cluster does not scale.
        client_kwargs: Arguments for the Dask client.
        cluster: A running cluster object to use instead of an address.

    Raises:
        ValueError: arguments that exclude each other.
        TypeError: an argument of a wrong type.
        ImportError: ``cluster_class`` names something that cannot be imported.

    Example:
        >>> DaskTaskRunner(cluster_kwargs={"n_workers": 4, "threads_per_worker": 2})
        DaskTaskRunner(cluster_kwargs={'n_workers': 4, 'threads_per_worker': 2})
    """

    places_resources: ClassVar[bool] = True
    tracks_dependencies: ClassVar[bool] = True

    def __init__(
        self,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: Mapping[str, Any] | None = None,
        adapt_kwargs: Mapping[str, Any] | None = None,
        client_kwargs: Mapping[str, Any] | None = None,
        cluster: Any = None,
    ) -> None:
        super().__init__()
        making = cluster_class or cluster_kwargs or adapt_kwargs
        if address is not None and (cluster is not None or making):
            raise ValueError(
                "Cannot specify `address` and `cluster`/`cluster_class`/`cluster_kwargs`/"
                "`adapt_kwargs`"
            )
        if cluster is not None and (cluster_class or cluster_kwargs):
            raise ValueError("Cannot specify `cluster` and `cluster_class`/`cluster_kwargs`")
        if cluster is not None and not _runs(cluster):
            raise TypeError(
                f"`cluster` must be a Dask cluster that runs, not {cluster!r}. Its address goes into "
                "`address`, a class of clusters into `cluster_class`."
            )
        if cluster_class is not None and not callable(cluster_class):
            if not isinstance(cluster_class, str):
                raise TypeError(
                    "`cluster_class` must be a class, its import path or a function, not "
                    f"{cluster_class!r}."
                )
        # What other classes take is theirs to say.
        of_cluster = () if cluster_class else _CLUSTER_ARGUMENTS
        self.address = option_checks.address(address, "tcp://host:8786")
        self.cluster_kwargs = option_checks.arguments(
            "cluster_kwargs",
            cluster_kwargs,
            of_cluster,
            managed=_managed("cluster_kwargs"),
            numbers=_NUMBERS if of_cluster else (),
        )
        self.adapt_kwargs = option_checks.arguments(
            "adapt_kwargs", adapt_kwargs, _ADAPT_ARGUMENTS, numbers=("minimum", "maximum")
        )
        self.client_kwargs = option_checks.arguments(
            "client_kwargs", client_kwargs, _CLIENT_ARGUMENTS, managed=_managed("client_kwargs")
        )
        self.cluster_class = (
            _imported(cluster_class) if isinstance(cluster_class, str) else cluster_class
        )
        self.cluster = cluster
        self._dask_run: DaskRun | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        if self.cluster_kwargs.get("processes"):
            return TaskConcurrencyType.PARALLEL
        return TaskConcurrencyType.CONCURRENT

    def options_beside(self, given: Collection[str]) -> dict[str, Any]:
        """Return the options that stay: an address given at launch replaces everything about making
        a cluster, and the other way round."""
        replaced = set(given)
        if replaced & {"address", "cluster"}:
            replaced |= _WHERE | _HOW
        elif replaced & _HOW:
            replaced |= _WHERE
        return super().options_beside(replaced)

    def portable_options(self) -> dict[str, Any]:
        """Return options that make a runner for the same cluster elsewhere: objects cannot go there."""
        if self.cluster is None:
            return self.options
        there = {"address": self.cluster.scheduler_address, "cluster": None, "adapt_kwargs": None}
        return {**self.options, **there}

    # -- life ---------------------------------------------------------------------------------------

    def _start(self, flow_run: FlowRun) -> None:
        if importlib.util.find_spec("distributed") is None:
            from flowdeck.task_runners import missing_extra

            raise ConfigurationError(missing_extra("dask", "dask"))
        from flowdeck.task_runners._dask.dask_run import DaskRun

        link = self._connect(flow_run)
        try:
            self._dask_run = DaskRun(flow_run, link)
        except BaseException:
            link.close()
            raise

    def _connect(self, flow_run: FlowRun) -> Any:
        from flowdeck.task_runners._dask import cluster

        existing = self.address or self.cluster
        if existing is not None:
            return cluster.connect(existing, self.client_kwargs, self.logger)
        return cluster.start(
            self.cluster_class or _imported(_DEFAULT_CLASS),
            self.cluster_kwargs,
            self.adapt_kwargs,
            self.client_kwargs,
            flow_run,
            self.logger,
        )

    def _stop(self) -> None:
        dask_run, self._dask_run = self._dask_run, None
        if dask_run is not None:
            dask_run.close()

    # -- work ---------------------------------------------------------------------------------------

    def _submit(self, run: TaskRun) -> None:
        assert self._dask_run is not None
        self._dask_run.submit(run)

    def map_is_over(self) -> None:
        if self._dask_run is not None:
            self._dask_run.flush()

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Dask can be told to wait for this upstream."""
        return (
            self._dask_run is not None
            and run.owner is not None
            and run.owner.runner is self
            and self._dask_run.tracks(run)
        )

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits, interrupt its function if that executes."""
        if self._dask_run is not None:
            self._dask_run.cancel(run)

    def why_not_started(self, run: TaskRun) -> str | None:
        """Return why the engine cannot start a run, if it is for what no worker has."""
        return None if self._dask_run is None else self._dask_run.stuck.reason_of(run)

    def awaited_by_engine(self, run: TaskRun) -> tuple[TaskRun, ...]:
        """Return the upstreams that the engine waits for."""
        return () if self._dask_run is None else self._dask_run.stuck.awaited_by(run)

    def pass_answer(self, answer: bytes) -> None:
        """Pass the answer to a question on to every worker."""
        if self._dask_run is not None:
            self._dask_run.pass_answer(answer)

    def drop_queued(self) -> list[TaskRun]:
        """Take back what has not been handed to Dask yet."""
        return [] if self._dask_run is None else self._dask_run.take_back()


def _runs(cluster: Any) -> bool:
    """Say whether something can be a cluster object that runs, not a class or an address."""
    return not isinstance(cluster, type) and hasattr(cluster, "scheduler_address")


def _managed(name: str) -> dict[str, str]:
    told = f"`{name}` cannot set `{_MANAGED}`. This option is managed by flowdeck."
    return {_MANAGED: told}


def _imported(path: str) -> Any:
    """Return what a dotted path names.

    Raises:
        ImportError: its module cannot be imported, or does not have it.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise ImportError(
            f"cluster_class {path!r} is not an import path: give the module too, as in "
            f"{_DEFAULT_CLASS!r}."
        )
    module = importlib.import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ImportError(f"module {module_name!r} has no {name!r}") from None


def describe_cluster(address: str, seconds: float) -> str:
    """Ask a scheduler what runs there, and whether it fits.

    Args:
        address: such as ``tcp://host:8786``.
        seconds: how long to wait.

    Raises:
        OSError, RuntimeError: it does not answer, or flows cannot run there.
    """
    from flowdeck.task_runners._dask.check import describe

    return describe(address, {"timeout": seconds})
