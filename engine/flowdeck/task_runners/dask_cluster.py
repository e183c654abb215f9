"""Connecting to a Dask cluster, or starting one that lives as long as the flow run."""

from __future__ import annotations

import contextlib
import inspect
import logging
import platform
import shutil
import socket
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import dask
import distributed
from distributed import LocalCluster

import flowdeck
from flowdeck.task_runners import dask_quiet, dask_spawn, dask_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from flowdeck.flow_run import FlowRun

make_client: Final[Any] = distributed.Client  # it has types, but not all of it

#: Seconds to wait for an existing cluster.
TIMEOUT: Final = 10.0
#: Settings of temporary clusters, each with Dask's own default: who has changed one keeps it.
_SETTINGS: Final[dict[str, tuple[Any, Any]]] = {
    # Two tasks in flight for each thread make Dask wait for itself between short tasks.
    "distributed.scheduler.worker-saturation": (1.1, "inf"),
    # Batches of events need not be remembered by the scheduler.
    "distributed.admin.low-level-log-length": (1000, 100),
    # Tasks may start processes.
    "distributed.worker.daemon": (True, False),
}
#: Dask reads its settings while it starts, and they belong to the whole process.
_starting: Final = threading.Lock()


class Link:
    """A connection to a cluster.

    Attributes:
        client: Dask's client.
        cluster: the temporary cluster; ``None`` if the cluster is not ours to close.
        scheduler: the scheduler itself, if it lives in this process.
    """

    def __init__(self, client: Any, cluster: Any, exits: ExitStack) -> None:
        self.client = client
        self.cluster = cluster
        self.scheduler = getattr(cluster, "scheduler", None) if is_local(cluster) else None
        self._exits = exits

    @property
    def is_open(self) -> bool:
        """Whether the scheduler can be reached, as far as is known."""
        return bool(self.client.status == "running")

    def close(self) -> None:
        """Disconnect; a temporary cluster ends."""
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
        _check_address(address, float(client_kwargs.get("timeout") or TIMEOUT))
    else:
        log.info("Connecting to existing Dask cluster %s", address)
    with contextlib.ExitStack() as exits:
        exits.enter_context(dask_quiet.quiet())
        client = _client(address, client_kwargs, exits)
        _check_versions(client)
        _tell_dashboard(client, log)
        return Link(client, None, exits.pop_all())


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
    dask_spawn.refuse_in_child()
    log.info("Creating a new Dask cluster with `%s`", _path_of(cluster_class))
    with contextlib.ExitStack() as exits:
        exits.enter_context(dask_spawn.workers_skip_main())
        if "silence_logs" not in cluster_kwargs:
            exits.enter_context(dask_quiet.quiet())
        if _is_local_class(cluster_class):
            cluster_kwargs = _with_local_defaults(cluster_kwargs, exits)
        with _starting, dask.config.set(_settings()):
            cluster = cluster_class(**cluster_kwargs)
            exits.callback(_close_cluster, cluster)
        if adapt_kwargs:
            found = cluster.adapt(**adapt_kwargs)
            if inspect.isawaitable(found):
                cluster.sync(_awaited, found)
        client = _client(cluster, client_kwargs, exits)
        exits.enter_context(dask_quiet.recorded(flow_run))
        _check_versions(client)
        _tell_dashboard(client, log)
        return Link(client, cluster, exits.pop_all())


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
    if "local_directory" not in kwargs and not dask.config.get("temporary-directory", None):
        folder = tempfile.mkdtemp(prefix="flowdeck-dask-")
        exits.callback(shutil.rmtree, folder, ignore_errors=True)
        kwargs["local_directory"] = folder
    return kwargs


def _settings() -> dict[str, Any]:
    return {
        name: ours
        for name, (default, ours) in _SETTINGS.items()
        if dask.config.get(name, default) == default
    }


def _client(where: Any, client_kwargs: dict[str, Any], exits: ExitStack) -> Any:
    kwargs = {"timeout": TIMEOUT, "set_as_default": False, **client_kwargs}
    client = make_client(where, **kwargs)
    exits.callback(_close_client, client)
    return client


def _close_client(client: Any) -> None:
    with contextlib.suppress(Exception):  # a cluster that is gone cannot be taken leave of
        client.close(timeout=3)


def _close_cluster(cluster: Any) -> None:
    with contextlib.suppress(Exception):
        cluster.close(timeout=5)


def _tell_dashboard(client: Any, log: logging.Logger) -> None:
    link = None
    with contextlib.suppress(Exception):  # a scheduler without one has no link to it
        link = client.dashboard_link
    if link:
        log.info("The Dask dashboard is available at %s", link)


# -- what may be wrong with an existing cluster --------------------------------------------------------


def _check_address(address: str, seconds: float) -> None:
    """Try a plain connection first: Dask's own client takes longer and says less.

    Raises:
        ConnectionError: nothing answers.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in ("tcp", "tls", "ws", "wss") or not parts.hostname or not parts.port:
        return  # Dask has the word
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=seconds).close()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        raise ConnectionError(
            f"There is no Dask scheduler at {address}: {why}. Check the address, and that the "
            "scheduler runs there and can be reached from here."
        ) from error


def _check_versions(client: Any) -> None:
    """Refuse a cluster whose processes could not read what they are sent.

    Raises:
        RuntimeError: says which process runs what, and what to do.
    """
    for where, found in _versions_there(client):
        problem = misfit(found)
        if problem is not None:
            raise RuntimeError(f"The Dask {where} {problem}")


def _versions_there(client: Any) -> Iterator[tuple[str, Any]]:
    scheduler = client.scheduler.address
    try:
        yield f"scheduler at {scheduler}", client.run_on_scheduler(dask_worker.versions)
    except Exception as error:
        yield f"scheduler at {scheduler}", error
    try:
        found = client.run(dask_worker.versions, on_error="return", callback_timeout=TIMEOUT)
    except TimeoutError:
        return  # workers that are too busy to answer: not known
    except Exception as error:
        yield "workers", error
        return
    for address, answer in found.items():
        yield f"worker at {address}", answer


def misfit(found: Any) -> str | None:
    """Say in what a process of the cluster does not fit this one; ``None`` if it does.

    Args:
        found: what :func:`flowdeck.task_runners.dask_worker.versions` gave there, or raised.
    """
    wanted = f"flowdeck {flowdeck.__version__}"
    if isinstance(found, BaseException):
        if isinstance(found, ImportError):
            return f"cannot import flowdeck ({found}). Install {wanted} there."
        return f"does not answer as it should: {type(found).__name__}: {found}"
    version, protocol, python = found
    if protocol != dask_worker.PROTOCOL:
        return f"has flowdeck {version}, which does not fit. Install {wanted} there."
    here = platform.python_version()
    if python.split(".")[:2] != here.split(".")[:2]:
        return (
            f"runs Python {python}, this flow Python {here}. Functions travel between equal minor "
            "versions of Python only."
        )
    return None
