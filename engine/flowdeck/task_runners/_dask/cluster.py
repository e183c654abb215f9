"""Connecting to a Dask cluster, or starting one that lives as long as the flow run."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

import dask
import distributed
from distributed import LocalCluster

from flowdeck.task_runners._dask import check, quiet, spawn
from flowdeck.task_runners._dask.scratch import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from flowdeck.runs.flow_run import FlowRun

make_client: Final[Any] = distributed.Client  # it has types, but not all of it

#: Settings of temporary clusters, each with Dask's own default: who has changed one keeps it.
_SETTINGS: Final[dict[str, tuple[Any, Any]]] = {
    # Two tasks in flight for each thread make Dask wait for itself between short tasks.
    "distributed.scheduler.worker-saturation": (1.1, "inf"),
    # Batches of events need not be remembered by the scheduler.
    "distributed.admin.low-level-log-length": (1000, 100),
    # Tasks may start processes.
    "distributed.worker.daemon": (True, False),
}
#: Seconds that workers get to end, of which they have four fifths before they are killed.
_SHORT: Final = 1.0
_PRELOAD: Final = "flowdeck.task_runners._dask.preload"
#: Dask reads its settings while it starts, and they belong to the whole process.
_starting: Final = threading.Lock()
#: Addresses of workers that were looked at, of clusters whose schedulers live in this process: such
#: a cluster starts all of its workers alike.
_fit: Final[weakref.WeakKeyDictionary[Any, set[str]]] = weakref.WeakKeyDictionary()


class Link:
    """A connection to a cluster.

    Args:
        client: as below.
        where: what the client is connected to: an address, or a cluster object.
        exits: what has to be left in the end.
        ours: the cluster is a temporary one.

    Attributes:
        client: Dask's client.
        cluster: the temporary cluster; ``None`` if the cluster is not ours to close.
        scheduler: the scheduler itself, if it lives in this process.
    """

    def __init__(self, client: Any, where: Any, exits: ExitStack, *, ours: bool) -> None:
        self.client = client
        self.cluster = where if ours else None
        self.scheduler = getattr(where, "scheduler", None) if is_local(where) else None
        self._exits = exits

    @property
    def is_open(self) -> bool:
        """Whether the scheduler can be reached, as far as is known."""
        return bool(self.client.status == "running")

    def close(self, *, at_once: bool = False) -> None:
        """Disconnect; a temporary cluster ends.

        Args:
            at_once: its workers execute something that does not stop: do not ask them.
        """
        if at_once and is_local(self.cluster):
            _kill_workers(self.cluster)
        self._exits.close()


def is_local(cluster: Any) -> bool:
    """Say whether a cluster's scheduler lives in this process and its workers are our children."""
    return isinstance(cluster, LocalCluster)


def connect(address: Any, client_kwargs: dict[str, Any], log: logging.Logger) -> Link:
    """Connect to an existing cluster.

    Args:
        address: of its scheduler, or a cluster object.
        client_kwargs: for the client.
        log: for the lines that say so.

    Raises:
        OSError: nothing answers there.
        ValueError: it is no address of Dask's.
        RuntimeError: the cluster runs something that does not fit.
    """
    if isinstance(address, str):
        log.info("Connecting to an existing Dask cluster at %s", address)
    else:
        log.info("Connecting to existing Dask cluster %s", address)
    with contextlib.ExitStack() as exits:
        exits.enter_context(quiet.quiet())
        if isinstance(address, str):
            check.check_address(address, client_kwargs)
        client = _client(address, client_kwargs, exits)
        if not is_local(address):
            check.check_versions(client)
        elif (workers := set(address.scheduler.workers)) - _fit.get(address, set()):
            check.check_versions(client)
            _fit[address] = workers
        _tell_dashboard(client, log)
        return Link(client, address, exits.pop_all(), ours=False)


def start(
    cluster_class: Callable[..., Any],
    cluster_kwargs: dict[str, Any],
    adapt_kwargs: dict[str, Any],
    client_kwargs: dict[str, Any],
    flow_run: FlowRun,
    log: logging.Logger,
) -> Link:
    """Start a temporary cluster.

    Args:
        cluster_class: makes it.
        cluster_kwargs: for ``cluster_class``.
        adapt_kwargs: for adaptive scaling; empty for none.
        client_kwargs: for the client.
        flow_run: who needs it.
        log: for the lines that say so.

    Raises:
        Exception: whatever starting raised.
    """
    spawn.refuse_in_child()
    log.info("Creating a new Dask cluster with `%s`", _path_of(cluster_class))
    with contextlib.ExitStack() as exits:
        exits.enter_context(spawn.workers_skip_main())
        if "silence_logs" not in cluster_kwargs:
            exits.enter_context(quiet.quiet())
        if _is_local_class(cluster_class):
            cluster_kwargs = _with_local_defaults(cluster_kwargs, exits)
        with _starting, dask.config.set(_settings(cluster_kwargs.get("local_directory"))):
            cluster = _made(cluster_class, cluster_kwargs)
            exits.callback(_close_cluster, cluster)
        _check(cluster, cluster_class)
        if adapt_kwargs:
            found = cluster.adapt(**adapt_kwargs)
            if inspect.isawaitable(found):
                cluster.sync(_awaited, found)
        client = _client(cluster, client_kwargs, exits)
        exits.enter_context(quiet.recorded(flow_run))
        check.check_versions(client)
        _tell_dashboard(client, log)
        return Link(client, cluster, exits.pop_all(), ours=True)


def _made(cluster_class: Any, cluster_kwargs: dict[str, Any]) -> Any:
    try:
        return cluster_class(**cluster_kwargs)
    except RuntimeError as error:
        cause = error.__cause__
        if cause is None or str(cause) in str(error):
            raise
        # "Nanny failed to start.", and only what is below that says why.
        raise RuntimeError(f"{error} {type(cause).__name__}: {cause}") from cause


def _check(cluster: Any, cluster_class: Any) -> None:
    if isinstance(getattr(cluster, "scheduler_address", None), str):
        return
    found = "None" if cluster is None else f"a {type(cluster).__name__}"
    if inspect.iscoroutine(cluster):
        cluster.close()
    raise TypeError(
        f"cluster_class must return a Dask cluster that has started, but {_path_of(cluster_class)} "
        f"returned {found}."
    )


async def _awaited(value: Any) -> Any:
    return await value


def _path_of(cluster_class: Any) -> str:
    name = getattr(cluster_class, "__qualname__", None) or type(cluster_class).__qualname__
    return f"{cluster_class.__module__}.{name}"


def _is_local_class(cluster_class: Any) -> bool:
    return isinstance(cluster_class, type) and issubclass(cluster_class, LocalCluster)


def _with_local_defaults(given: dict[str, Any], exits: ExitStack) -> dict[str, Any]:
    kwargs = dict(given)
    # ":0" and ":8787" would listen on all interfaces.
    kwargs.setdefault("dashboard_address", "127.0.0.1:0")
    kwargs.setdefault("silence_logs", logging.CRITICAL)
    given_preload = kwargs.get("preload") or ()
    if isinstance(given_preload, str):
        given_preload = (given_preload,)
    kwargs["preload"] = [_PRELOAD, *given_preload]
    if "local_directory" not in kwargs and not dask.config.get("temporary-directory", None):
        kwargs["local_directory"] = str(exits.enter_context(scratch_folder()))
    return kwargs


def _settings(scratch: str | None) -> dict[str, Any]:
    chosen = {
        name: ours
        for name, (default, ours) in _SETTINGS.items()
        if dask.config.get(name, default) == default
    }
    if scratch is not None:
        chosen["temporary-directory"] = scratch  # the scheduler's; workers are told theirs
    return chosen


def _client(where: Any, client_kwargs: dict[str, Any], exits: ExitStack) -> Any:
    kwargs = {"timeout": check.TIMEOUT, "set_as_default": False, **client_kwargs}
    client = make_client(where, **kwargs)
    exits.callback(_close_client, client)
    return client


def _close_client(client: Any) -> None:
    with contextlib.suppress(Exception):  # a cluster that is gone cannot be taken leave of
        client.close(timeout=3)


def _close_cluster(cluster: Any) -> None:
    with contextlib.suppress(Exception):
        cluster.close(timeout=5)
    _forget_schedulers()


def _forget_schedulers() -> None:
    """Have Dask let go of schedulers that are closed, and of what they know of our runs.

    It remembers for each handler which arguments that takes, without limit, and with the handlers
    their schedulers: half a megabyte for each temporary cluster of this process.
    """
    core: Any = distributed.core
    with contextlib.suppress(AttributeError):  # another version: it may be mended there
        core._expects_comm.cache_clear()


def _kill_workers(cluster: Any) -> None:
    with contextlib.suppress(Exception):  # those that are gone
        cluster.sync(_close_nannies, list(cluster.workers.values()))


async def _close_nannies(nannies: list[Any]) -> None:
    closing = [nanny.close(timeout=_SHORT) for nanny in nannies]
    await asyncio.gather(*closing, return_exceptions=True)


def _tell_dashboard(client: Any, log: logging.Logger) -> None:
    link = None
    with contextlib.suppress(Exception):  # a scheduler without one has no link to it
        link = client.dashboard_link
        if client.scheduler.address.startswith("inproc://"):
            # Dask names this machine's address, where its dashboard does not listen by default.
            link = re.sub(r"//[^/:]+:", "//127.0.0.1:", link)
    if link:
        log.info("The Dask dashboard is available at %s", link)
