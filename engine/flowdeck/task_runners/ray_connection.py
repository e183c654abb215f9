"""The process's connection to Ray, shared by all flow runs that use it at the same time.

Ray allows one connection in a process. The first flow run opens it, the last one closes it; one
that the application has opened itself is used and left alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners import ray_instance, ray_probe, ray_worker
from flowdeck.task_runners.ray_keeper import Foreign, Held, Joined, Keeper, address_in_use
from flowdeck.task_runners.ray_mailbox import PROTOCOL, Mailbox
from flowdeck.task_runners.ray_options import DEFAULTS

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
    """What the flow runs of this process share."""

    def __init__(self, address: str | None, keeper: Keeper, held: Held) -> None:
        self.address = address
        self.users = 0
        self.mailbox = Mailbox(with_agent=self.is_client)
        #: Why there is nothing at the other end any more.
        self.lost: ConnectionError | None = None
        self._keeper = keeper
        self._held = held
        self._listeners: list[Callable[[ConnectionError], None]] = []
        self._functions: dict[Any, Any] = {}
        keeper.on_loss = self._lose

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
            found = self._functions[key] = ray.remote(**chosen)(ray_worker.run_task)
        return found

    def listen(self, on_loss: Callable[[ConnectionError], None]) -> None:
        """Have a function called if Ray is gone."""
        self._listeners.append(on_loss)

    def forget(self, on_loss: Callable[[ConnectionError], None]) -> None:
        """Take back what was given to :meth:`listen`."""
        self._listeners.remove(on_loss)

    def _lose(self, problem: str) -> None:
        """On the keeper's thread, before it disconnects."""
        where = f"at {self.address}" if self.address else "that was started for this run"
        self.lost = error = ConnectionError(f"The Ray {where} is gone: {problem}.")
        self.mailbox.close(is_lost=True)
        for listener in list(self._listeners):
            listener(error)
        time.sleep(_SETTLE)

    def wait_until_gone(self) -> None:
        """Wait until a lost connection is closed."""
        self._keeper.join()

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
                self.mailbox.close(is_lost=self.lost is not None)
            finally:
                self._keeper.close()


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
        keeper = Keeper(Foreign)
        return Connection(there, keeper, keeper.open(None))
    if address in (None, "local"):
        logger.info("Creating a local Ray instance")
        keeper = Keeper(lambda: ray_instance.TemporaryInstance(init_kwargs))
        connection = Connection(None, keeper, keeper.open(None))
    else:
        assert address is not None
        logger.info("Connecting to an existing Ray instance at %s", address)
        keeper = Keeper(lambda: Joined(address, init_kwargs))
        connection = Connection(address, keeper, _join(keeper, address))
    try:
        nodes = sum(bool(node.get("Alive")) for node in ray.nodes())
        if address not in (None, "local"):
            check_versions(connection.mailbox, str(address))
    except BaseException:
        connection.mailbox.close()
        keeper.close()
        raise
    logger.info("Using Ray cluster with %d nodes.", nodes)
    if connection.dashboard is not None:
        logger.info("The Ray UI is available at %s", connection.dashboard)
    return connection


def _join(keeper: Keeper, address: str) -> Held:
    started = time.monotonic()
    try:
        return keeper.open(_JOIN_TIMEOUT)
    except TimeoutError as error:
        if time.monotonic() - started < _JOIN_TIMEOUT:
            raise  # Ray's own
        raise ConnectionError(
            f"Ray at {address} answers, but did not let us join within {_JOIN_TIMEOUT:g} seconds. "
            "`ray status` on its head node shows whether it is healthy."
        ) from error


def check_versions(mailbox: Mailbox, address: str) -> None:
    """Refuse a cluster whose workers could not read what they are sent.

    Ray itself has compared its own version and that of Python.

    Raises:
        RuntimeError: says what is wrong there, and what to do.
    """
    import flowdeck

    ray = import_ray()
    try:
        version, protocol = mailbox.versions(_VERSIONS_TIMEOUT)
    except ray.exceptions.GetTimeoutError:
        return  # too busy to start a process: not known
    except Exception as error:
        if "No module named 'flowdeck" not in str(error):
            raise
        raise RuntimeError(
            f"The workers of the Ray at {address} cannot import flowdeck. Install flowdeck "
            f"{flowdeck.__version__} where they run, or have Ray do so: "
            "init_kwargs={'runtime_env': {'pip': ['flowdeck[ray]']}}."
        ) from error
    if protocol != PROTOCOL:
        raise RuntimeError(
            f"The workers of the Ray at {address} have flowdeck {version}, which does not fit. "
            f"Install flowdeck {flowdeck.__version__} there."
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
    if address is None or ray_probe.is_client(address):
        return address
    from ray._private.services import resolve_ip_for_localhost

    host, _, port = address.rpartition(":")
    return f"{resolve_ip_for_localhost(host)}:{port}"


def import_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        import ray
        import ray.util.client
    except ImportError:
        from flowdeck.task_runners import missing_extra

        raise ImportError(missing_extra("ray", "ray")) from None
    return ray
