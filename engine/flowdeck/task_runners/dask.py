"""Tasks on a Dask cluster: a temporary one for the flow run, or one that runs already.

This module imports without Dask, so that files which mention the runner can be read, listed, and
run with another one, where Dask is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from flowdeck.exceptions import ConfigurationError
from flowdeck.task_runners.base import BaseTaskRunner, TaskConcurrencyType

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flowdeck.flow_run import FlowRun
    from flowdeck.runs import TaskRun
    from flowdeck.task_runners.dask_session import Session

_DEFAULT_CLASS = "distributed.LocalCluster"
_MANAGED = "asynchronous"
_WHERE = frozenset({"address", "cluster"})
_HOW = frozenset({"cluster_class", "cluster_kwargs", "adapt_kwargs"})


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
        if address and (cluster or cluster_class or cluster_kwargs or adapt_kwargs):
            raise ValueError(
                "Cannot specify `address` and `cluster`/`cluster_class`/`cluster_kwargs`/"
                "`adapt_kwargs`"
            )
        if cluster and (cluster_class or cluster_kwargs):
            raise ValueError("Cannot specify `cluster` and `cluster_class`/`cluster_kwargs`")
        if address is not None and not isinstance(address, str):
            raise TypeError(f"`address` must be a text such as 'tcp://host:8786', not {address!r}.")
        if cluster_class is not None and not callable(cluster_class):
            if not isinstance(cluster_class, str):
                raise TypeError(
                    "`cluster_class` must be a class, its import path or a function, not "
                    f"{cluster_class!r}."
                )
        _check(client_kwargs, "client_kwargs", _MANAGED)
        _check(cluster_kwargs, "cluster_kwargs", _MANAGED)
        _check(adapt_kwargs, "adapt_kwargs")
        self.address = address
        self.cluster_class = (
            _imported(cluster_class) if isinstance(cluster_class, str) else cluster_class
        )
        self.cluster_kwargs = None if cluster_kwargs is None else dict(cluster_kwargs)
        self.adapt_kwargs = None if adapt_kwargs is None else dict(adapt_kwargs)
        self.client_kwargs = None if client_kwargs is None else dict(client_kwargs)
        self.cluster = cluster
        self._session: Session | None = None

    @property
    def concurrency_type(self) -> TaskConcurrencyType:
        if (self.cluster_kwargs or {}).get("processes"):
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

    # -- life ---------------------------------------------------------------------------------------

    def _start(self, flow_run: FlowRun) -> None:
        if importlib.util.find_spec("distributed") is None:
            from flowdeck.task_runners import missing_extra

            raise ConfigurationError(missing_extra("dask", "dask"))
        from flowdeck.task_runners.dask_session import Session

        link = self._connect(flow_run)
        try:
            self._session = Session(flow_run, link)
        except BaseException:
            link.close()
            raise

    def _connect(self, flow_run: FlowRun) -> Any:
        from flowdeck.task_runners import dask_cluster

        client_kwargs = self.client_kwargs or {}
        existing = self.address or self.cluster
        if existing:
            return dask_cluster.connect(existing, client_kwargs, self.logger)
        return dask_cluster.start(
            self.cluster_class or _imported(_DEFAULT_CLASS),
            self.cluster_kwargs or {},
            self.adapt_kwargs or {},
            client_kwargs,
            flow_run,
            self.logger,
        )

    def _stop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    # -- work ---------------------------------------------------------------------------------------

    def _submit(self, run: TaskRun) -> None:
        assert self._session is not None
        self._session.submit(run)

    def tracks(self, run: TaskRun) -> bool:
        """Say whether Dask can be told to wait for this upstream."""
        return (
            self._session is not None
            and run.owner is not None
            and run.owner.runner is self
            and self._session.tracks(run)
        )

    def cancel(self, run: TaskRun) -> None:
        """Drop the run if it waits, interrupt its function if that executes."""
        if self._session is not None:
            self._session.cancel(run)

    def drop_queued(self) -> list[TaskRun]:
        """Take back what has not been handed to Dask yet."""
        return [] if self._session is None else self._session.take_back()


def _check(kwargs: Any, name: str, managed: str | None = None) -> None:
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"`{name}` must be a dict of arguments, not {kwargs!r}.")
    if kwargs and managed in kwargs:
        raise ValueError(f"`{name}` cannot set `{managed}`. This option is managed by flowdeck.")


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
