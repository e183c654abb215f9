"""The process's connection to Ray, shared by all flow runs that use it at the same time.

Ray allows one connection in a process. The first flow run opens it, the last one closes it; one
that the application has opened itself is used and left alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners._ray import instance, probe, worker
from flowdeck.task_runners._ray.agent import Agent
from flowdeck.task_runners._ray.connection_thread import (
    ConnectionThread,
    Foreign,
    Held,
    Joined,
    address_in_use,
)
from flowdeck.task_runners._ray.event_channel import PROTOCOL, EventChannel
from flowdeck.task_runners._ray.options import DEFAULTS
from flowdeck.task_runners._ray.versions import import_ray

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

#: Seconds that a Ray which answers may take to let us join.
_JOIN_TIMEOUT: Final = 60.0
#: Seconds for the workers to say what they are.
_VERSIONS_TIMEOUT: Final = 30.0
#: Seconds for threads that are inside of Ray to come out before it is shut down.
_SETTLE: Final = 1.5
_lock = threading.Lock()
_current: Connection | None = None


class Connection:
    """What the flow runs of this process share.

    Args:
        address: of the Ray; ``None`` if it is a temporary one of ours.
        thread: holds the connection.
        held: what it holds.
    """

    def __init__(self, address: str | None, thread: ConnectionThread, held: Held) -> None:
        self.address = address
        self.users = 0
        self.channel = EventChannel(Agent if self.is_client else None)
        #: Why there is nothing at the other end any more.
        self.lost: ConnectionError | None = None
        self._thread = thread
        self._held = held
        self._loss_callbacks: list[Callable[[ConnectionError], None]] = []
        self._functions: dict[Any, Any] = {}
        thread.on_loss = self._declare_lost

    @property
    def dashboard(self) -> str | None:
        """The address of Ray's web pages."""
        url = getattr(self._held.context, "dashboard_url", None)
        if not url:
            return None
        return str(url) if "://" in url else f"http://{url}"

    @property
    def is_client(self) -> bool:
        """Whether calls go through a Ray client server."""
        import ray

        return bool(ray.util.client.ray.is_connected())

    @property
    def ends_with_me(self) -> bool:
        """Whether a release now ends the connection, and with it what we have running there."""
        return self.users == 1 and not isinstance(self._held, Foreign)

    def function(self, options: Mapping[str, Any]) -> Any:
        """Return the remote function that executes task runs, with options of ``ray.remote``."""
        import ray

        only_named = len(options) == 1 and "name" in options
        key: Any = (options["name"],) if only_named else repr(sorted(options.items()))
        found = self._functions.get(key)
        if found is None:
            chosen = {**DEFAULTS, **options, "num_returns": 2}
            found = self._functions[key] = ray.remote(**chosen)(worker.run_task)
        return found

    def on_loss(self, callback: Callable[[ConnectionError], None]) -> None:
        """Have a function called if Ray is gone."""
        self._loss_callbacks.append(callback)

    def forget(self, callback: Callable[[ConnectionError], None]) -> None:
        """Take back what was given to :meth:`on_loss`."""
        self._loss_callbacks.remove(callback)

    def _declare_lost(self, problem: str) -> None:
        """On the thread of the connection, before it disconnects."""
        where = f"at {self.address}" if self.address else "that was started for this run"
        self.lost = error = ConnectionError(f"The Ray {where} is gone: {problem}.")
        self.channel.close(is_lost=True)
        for callback in list(self._loss_callbacks):
            callback(error)
        time.sleep(_SETTLE)

    def wait_until_gone(self) -> None:
        """Wait until a lost connection is closed."""
        self._thread.join()

    def release(self) -> None:
        """Give up one use; the last one closes."""
        global _current
        with _lock:
            self.users -= 1
            if self.users > 0:
                return
            if _current is self:
                _current = None
            try:
                self.channel.close(is_lost=self.lost is not None)
            finally:
                self._thread.close()


def attach(address: str | None, init_kwargs: dict[str, Any], logger: logging.Logger) -> Connection:
    """Return the connection to use, opened now if there is none.

    Args:
        address: of an existing Ray, ``"auto"``, or ``None`` for a temporary one.
        init_kwargs: for ``ray.init`` if it is called.
        logger: is told what is used.

    Raises:
        ConnectionError: no Ray there, it refuses us, or it has another version.
        RuntimeError: the process is connected to another Ray.
        ImportError: Ray is not installed.
    """
    global _current
    ray = import_ray()
    with _lock:
        found = _current
        if found is not None and found.lost is not None:
            found.wait_until_gone()
        if found is not None and not ray.is_initialized():
            found = _current = None  # lost, or somebody called ray.shutdown()
        if found is None:
            found = _open(ray, address, init_kwargs, logger)
        else:
            _announce_existing(found.address, address, logger)
        found.users += 1
        _current = found
        return found


def _open(
    ray: Any, address: str | None, init_kwargs: dict[str, Any], logger: logging.Logger
) -> Connection:
    if ray.is_initialized():
        there = address_in_use()
        _announce_existing(there, address, logger)
        thread = ConnectionThread(Foreign)
        return Connection(there, thread, thread.open(None))
    if address in (None, "local"):
        logger.info("Creating a local Ray instance")
        thread = ConnectionThread(lambda: instance.TemporaryInstance(init_kwargs))
        connection = Connection(None, thread, thread.open(None))
    else:
        assert address is not None
        logger.info("Connecting to an existing Ray instance at %s", address)
        thread = ConnectionThread(lambda: Joined(address, init_kwargs))
        connection = Connection(address, thread, _join(thread, address))
    try:
        nodes = sum(bool(node.get("Alive")) for node in ray.nodes())
        if address not in (None, "local"):
            check_versions(connection.channel, str(address))
    except BaseException:
        connection.channel.close()
        thread.close()
        raise
    logger.info("Using Ray cluster with %d nodes.", nodes)
    if connection.dashboard is not None:
        logger.info("The Ray UI is available at %s", connection.dashboard)
    return connection


def _join(thread: ConnectionThread, address: str) -> Held:
    started = time.monotonic()
    try:
        return thread.open(_JOIN_TIMEOUT)
    except TimeoutError as error:
        if time.monotonic() - started < _JOIN_TIMEOUT:
            raise  # Ray's own
        raise ConnectionError(
            f"Ray at {address} answers, but did not let us join within {_JOIN_TIMEOUT:g} seconds. "
            "`ray status` on its head node shows whether it is healthy."
        ) from error


def check_versions(channel: EventChannel, address: str) -> None:
    """Refuse a cluster whose workers could not read what they are sent.

    Ray itself has compared its own version and that of Python.

    Raises:
        RuntimeError: says what is wrong there, and what to do.
    """
    from flowdeck.version import __version__

    ray = import_ray()
    try:
        version, protocol = channel.versions(_VERSIONS_TIMEOUT)
    except ray.exceptions.GetTimeoutError:
        return  # too busy to start a process: not known
    except Exception as error:
        if "No module named 'flowdeck" not in str(error):
            raise
        raise RuntimeError(
            f"The workers of the Ray at {address} cannot import flowdeck. Install flowdeck "
            f"{__version__} where they run, or have Ray do so: "
            "init_kwargs={'runtime_env': {'pip': ['flowdeck[ray]']}}."
        ) from error
    if protocol != PROTOCOL:
        raise RuntimeError(
            f"The workers of the Ray at {address} have flowdeck {version}, which does not fit. "
            f"Install flowdeck {__version__} there."
        )


def _announce_existing(there: str | None, wanted: str | None, logger: logging.Logger) -> None:
    """Say which connection is used.

    Raises:
        RuntimeError: it is not the one that is wanted.
    """
    if wanted in (None, "auto", "local"):
        logger.info("Local Ray instance is already initialized. Using existing local instance.")
        return
    if wanted != there and _plain(wanted) != _plain(there):
        raise RuntimeError(
            f"This process is connected to {'a Ray at ' + there if there else 'a local Ray'} "
            f"already, and Ray allows one connection in a process: run the flow that uses "
            f"{wanted} in a process of its own, or give both the same address."
        )
    logger.info("Connecting to an existing Ray instance at %s", wanted)


def _plain(address: str | None) -> str | None:
    """Return an address as Ray writes it: it does not say localhost."""
    if address is None or probe.is_client(address):
        return address
    from ray._private.services import resolve_ip_for_localhost

    host, _, port = address.rpartition(":")
    return f"{resolve_ip_for_localhost(host)}:{port}"
