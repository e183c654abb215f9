"""Opening, holding and closing a connection to Ray."""

from __future__ import annotations

import atexit
import contextlib
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners._ray import health, instance, probe, quiet, start, versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

#: Seconds for a connection to close when the process ends.
_END_TIMEOUT: Final = 60.0
#: How often a client server is asked to let us in, and what it says if it was too slow: it starts a
#: process for each client, and on a busy machine ends it before the client has used it.
_ATTEMPTS: Final = 3
_TOO_SLOW: Final = "session that has already been cleaned up"
#: Seconds for a Ray client server to say what it is.
_DESCRIBE_TIMEOUT: Final = 12.0


class Joined:
    """A connection to a Ray that somebody else runs."""

    def __init__(self, address: str, init_kwargs: dict[str, Any]) -> None:
        """Connect.

        Raises:
            ConnectionError: no Ray there, it refuses us, or it has another version.
            ValueError: that is no address.
        """
        if address != "auto":
            instance.reread_token()
            probe.check(address)
        self._kwargs = {**instance.QUIET, **init_kwargs}
        self._environment = quiet.Environment()
        with versions.translated(address):
            self.context: Any = self._init(address)
        self._environment.note()

    def _init(self, address: str) -> Any:
        import ray

        unwanted = start.unwanted.get()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return ray.init(address, **self._kwargs)
            except ConnectionError as error:
                problem = error
            if _TOO_SLOW not in str(problem) or attempt == _ATTEMPTS or unwanted():
                break
            with contextlib.suppress(Exception):  # what is left of the attempt
                ray.shutdown()
        hint = ""
        if "Starting Ray client server failed" in str(problem):
            hint = (
                " The head node could not start a process for this client; if its log says "
                "something of fork, start it with GRPC_ENABLE_FORK_SUPPORT=0."
            )
        raise ConnectionError(f"Cannot connect to Ray at {address}: {problem}{hint}") from problem

    def quiet(self) -> AbstractContextManager[None]:
        """Keep it quiet inside the block."""
        return quiet.no_talk(self._kwargs)

    def health_check(self) -> health.HealthCheck:
        """Return what looks after it."""
        return health.HealthCheck(address_in_use(), health.PATIENCE, _node_check())

    def close(self) -> None:
        """Disconnect; what runs there goes on."""
        import ray

        with quiet.no_client_errors():
            ray.shutdown()
        self._environment.restore()


class Foreign:
    """A connection that the application opened: left as it is."""

    context: Any = None

    def quiet(self) -> AbstractContextManager[None]:
        """Leave it as it is."""
        return contextlib.nullcontext()

    def health_check(self) -> health.HealthCheck:
        """Return what looks after it."""
        return health.HealthCheck(address_in_use(), health.PATIENCE, _node_check())

    def close(self) -> None:
        """Leave it to its owner."""


Held = instance.TemporaryInstance | Joined | Foreign


class ConnectionThread(threading.Thread):
    """Opens, holds and closes a connection, all on one thread.

    The kernel ends Ray's processes together with the thread that started them, and ``ray.init`` on
    the main thread would replace the handler of SIGTERM.

    Args:
        opener: opens it; may raise anything.
    """

    def __init__(self, opener: Callable[[], Held]) -> None:
        super().__init__(name="flowdeck-ray", daemon=True)
        #: Called once, with why, if what was opened is gone.
        self.on_loss: Callable[[str], None] | None = None
        self._opener = opener
        self._opened: Future[Held] = Future()
        self._leave = threading.Event()
        self._problem: BaseException | None = None

    def run(self) -> None:
        if self._leave.is_set():
            return  # interrupted before it began
        start.unwanted.set(self._leave.is_set)
        with quiet.unhandled_errors_ignored(), quiet.no_automatic_start():
            try:
                with instance.sigterm_kept():
                    held = self._opener()
            except BaseException as error:
                self._opened.set_exception(error)
                return
            try:
                with held.quiet():
                    self._opened.set_result(held)
                    try:
                        self._hold(held)
                    finally:
                        held.close()
            except BaseException as error:
                self._problem = error

    def _hold(self, held: Held) -> None:
        """Wait until somebody wants to leave, or there is nothing left to hold."""
        health_check = held.health_check()
        while not self._leave.wait(health.INTERVAL):
            problem = health_check.find_problem()
            if problem is not None:
                if self.on_loss is not None:
                    self.on_loss(problem)
                return

    def open(self, timeout: float | None) -> Held:
        """Start, and return what was opened."""
        if timeout is None:
            # An interruption can come anywhere, also in start() and after our return: nothing may
            # be left of what is opened when the process ends.
            atexit.register(self._end)
        try:
            self.start()
            return self._opened.result(timeout)
        except BaseException:
            self._leave.set()  # also undoes an opening that is still under way
            if timeout is None:
                self._end()
            raise

    def _end(self) -> None:
        """Have the thread end."""
        self._leave.set()
        with contextlib.suppress(RuntimeError):  # it has not begun, and will do nothing
            self.join(_END_TIMEOUT)
        atexit.unregister(self._end)

    def close(self) -> None:
        """Close what was opened, and wait for it; raises what closing raised."""
        self._leave.set()
        self.join()
        atexit.unregister(self._end)
        if self._problem is not None:
            raise self._problem


def describe(address: str) -> str:
    """Say what is at an address, after a look at whether flows could run there.

    A Ray client server starts a process for us, which says what it runs, and ends it.

    Raises:
        ConnectionError: no Ray there, it refuses us, or it has another version.
        ValueError: that is no address.
        ImportError: ``ray://`` needs a package that is not installed.
    """
    there = probe.check(address)
    if not probe.is_client(address):
        said = f"{there}, which fits" if there else "it does not say its version"
        return f"the head node of a Ray lets us in: {said}"
    thread = ConnectionThread(lambda: Joined(address, {}))
    try:
        context = thread.open(_DESCRIBE_TIMEOUT).context
    except TimeoutError:
        raise ConnectionError(
            f"The Ray client server at {address} lets us in, but did not start a process for us "
            f"within {_DESCRIBE_TIMEOUT:g} seconds. `ray status` on its head node shows whether it "
            "is healthy."
        ) from None
    there = versions.Versions(context.ray_version, context.python_version)
    thread.close()
    return f"a Ray client server lets us in: {there}, which fits"


def address_in_use() -> str:
    """Return the address of the Ray that this process is connected to."""
    import ray

    client = ray.util.client.ray
    if client.is_connected():
        return probe.CLIENT + str(client.get_context().client_worker._conn_str)
    return str(ray.get_runtime_context().gcs_address)


def _node_check() -> Callable[[], bool] | None:
    """Return what says whether a node is alive; through a client server that may block."""
    import ray

    if ray.util.client.ray.is_connected():
        return None
    return lambda: any(node.get("Alive") for node in ray.nodes())
