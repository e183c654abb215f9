"""The process's connection to Ray, shared by all flow runs that use it at the same time.

Ray allows one connection in a process. The first flow run opens it, the last one closes it; one
that the application has opened itself is used and left alone.
"""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners import ray_instance, ray_probe, ray_pulse, ray_quiet
from flowdeck.task_runners.ray_mailbox import Mailbox

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from contextlib import AbstractContextManager

#: Seconds that a Ray which answers may take to let us join.
_JOIN_TIMEOUT: Final = 60.0
#: Seconds for threads that are inside of Ray to come out before it is shut down.
_SETTLE: Final = 1.5
_lock = threading.Lock()
_current: Connection | None = None


class Joined:
    """A connection to a Ray that somebody else runs."""

    def __init__(self, address: str, init_kwargs: dict[str, Any]) -> None:
        """Connect.

        Raises:
            ConnectionError: no Ray there, it refuses us, or it has another version.
            ValueError: that is no address.
        """
        import ray

        if address != "auto":
            ray_instance.reread_token()
            ray_probe.check(address)
        self._kwargs = {**ray_instance.QUIET, **init_kwargs}
        self._environment = ray_quiet.Environment()
        try:
            self.context: Any = ray.init(address, **self._kwargs)
            self._environment.note()
        except ConnectionError as error:
            raise ConnectionError(f"Cannot connect to Ray at {address}: {error}") from error
        except RuntimeError as error:
            if "ersion" not in str(error):
                raise
            raise ConnectionError(
                f"Cannot use Ray at {address}: its version or that of its Python is not ours. "
                f"{error}"
            ) from error

    def quiet(self) -> AbstractContextManager[None]:
        """Keep it quiet inside the block."""
        return ray_quiet.no_talk(self._kwargs)

    def pulse(self) -> ray_pulse.Pulse:
        """Return what looks after it."""
        return ray_pulse.Pulse(_address_in_use(), ray_pulse.PATIENCE, _has_nodes())

    def close(self) -> None:
        """Disconnect; what runs there goes on."""
        import ray

        ray.shutdown()
        self._environment.restore()


class Foreign:
    """A connection that the application opened: left as it is."""

    context: Any = None

    def quiet(self) -> AbstractContextManager[None]:
        """Leave it as it is."""
        return contextlib.nullcontext()

    def pulse(self) -> ray_pulse.Pulse:
        """Return what looks after it."""
        return ray_pulse.Pulse(_address_in_use(), ray_pulse.PATIENCE, _has_nodes())

    def close(self) -> None:
        """Leave it to its owner."""


_Held = ray_instance.TemporaryInstance | Joined | Foreign


class _Keeper(threading.Thread):
    """Opens, holds and closes a connection, all on one thread.

    The kernel ends Ray's processes together with the thread that started them, and ``ray.init`` on
    the main thread would replace the handler of SIGTERM.
    """

    def __init__(self, opener: Callable[[], _Held]) -> None:
        super().__init__(name="flowdeck-ray", daemon=True)
        #: Called once, with why, if what was opened is gone.
        self.on_loss: Callable[[str], None] | None = None
        self._opener = opener
        self._opened: Future[_Held] = Future()
        self._leave = threading.Event()
        self._problem: BaseException | None = None

    def run(self) -> None:
        with ray_quiet.unhandled_errors_ignored(), ray_quiet.no_automatic_start():
            try:
                with ray_instance.sigterm_kept():
                    held = self._opener()
            except BaseException as error:
                self._opened.set_exception(error)
                return
            try:
                with held.quiet():
                    self._opened.set_result(held)
                    self._hold(held)
                    held.close()
            except BaseException as error:
                self._problem = error

    def _hold(self, held: _Held) -> None:
        """Wait until somebody wants to leave, or there is nothing left to hold."""
        pulse = held.pulse()
        while not self._leave.wait(ray_pulse.INTERVAL):
            problem = pulse.look()
            if problem is not None:
                if self.on_loss is not None:
                    self.on_loss(problem)
                return

    def open(self, timeout: float | None) -> _Held:
        """Start, and return what was opened."""
        self.start()
        try:
            return self._opened.result(timeout)
        except BaseException:
            self._leave.set()  # also undoes an opening that is still under way
            if timeout is None:
                self.join()
            raise

    def close(self) -> None:
        """Close what was opened, and wait for it."""
        self._leave.set()
        self.join()
        if self._problem is not None:
            raise self._problem


class Connection:
    """What the flow runs of this process share."""

    def __init__(self, address: str | None, keeper: _Keeper, held: _Held) -> None:
        self.address = address
        self.users = 0
        self.mailbox = Mailbox()
        #: Why there is nothing at the other end any more.
        self.lost: ConnectionError | None = None
        self._keeper = keeper
        self._held = held
        self._listeners: list[Callable[[ConnectionError], None]] = []
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

    def listen(self, on_loss: Callable[[ConnectionError], None]) -> None:
        """Have a function called if Ray is gone."""
        self._listeners.append(on_loss)

    def _lose(self, problem: str) -> None:
        """On the keeper's thread, before it disconnects."""
        where = f"at {self.address}" if self.address else "that was started for this run"
        self.lost = error = ConnectionError(f"The Ray {where} is gone: {problem}.")
        self.mailbox.close(is_lost=True)
        for listener in self._listeners:
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
        there = _address_in_use()
        _announce_existing(there, address, logger)
        keeper = _Keeper(Foreign)
        return Connection(there, keeper, keeper.open(None))
    if address in (None, "local"):
        logger.info("Creating a local Ray instance")
        keeper = _Keeper(lambda: ray_instance.TemporaryInstance(init_kwargs))
        connection = Connection(None, keeper, keeper.open(None))
    else:
        assert address is not None
        logger.info("Connecting to an existing Ray instance at %s", address)
        keeper = _Keeper(lambda: Joined(address, init_kwargs))
        connection = Connection(address, keeper, _join(keeper, address))
    try:
        nodes = sum(bool(node.get("Alive")) for node in ray.nodes())
    except BaseException:
        keeper.close()
        raise
    logger.info("Using Ray cluster with %d nodes.", nodes)
    if connection.dashboard is not None:
        logger.info("The Ray UI is available at %s", connection.dashboard)
    return connection


def _join(keeper: _Keeper, address: str) -> _Held:
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


def _has_nodes() -> Callable[[], bool] | None:
    """Return what says whether a node is alive; through a client server that may block."""
    import ray

    if ray.util.client.ray.is_connected():
        return None
    return lambda: any(node.get("Alive") for node in ray.nodes())


def _address_in_use() -> str:
    import ray

    client = ray.util.client.ray
    if client.is_connected():
        return ray_probe.CLIENT + str(client.get_context().client_worker._conn_str)
    return str(ray.get_runtime_context().gcs_address)


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
