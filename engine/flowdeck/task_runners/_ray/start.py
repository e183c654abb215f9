"""Starting a Ray node: with patience on a busy machine, and nothing left of one that did not start.

Ray waits 30 seconds for a node, even if it has ended meanwhile. And a node ends itself when one of
its agents, which are Python programs with much to import, is not ready after 15 seconds; there is
no setting for that one. So we watch the processes, and give a node that ended so a second chance in
which it need not wait for its agents.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import re
import socket
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Ray's setting for how long to wait for a node, and what we take if it is not set.
PATIENCE: Final = "RAY_raylet_start_wait_time_s"
_SECONDS: Final = 180
#: Seconds that Ray's own waits take each time, between two looks at the processes.
_SLICE: Final = 2
#: Ports of agents. They are taken where systems do not give ports away by themselves, and where
#: Ray has none for workers.
_PORTS: Final = (
    "runtime_env_agent_port",
    "metrics_agent_port",
    "dashboard_agent_listen_port",
    "metrics_export_port",
)
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
#: Seconds for processes that were killed to be gone.
_KILL_TIMEOUT: Final = 10.0

#: Says whether nobody wants a node any more.
unwanted: ContextVar[Callable[[], bool]] = ContextVar("unwanted", default=lambda: False)


class NotStarted(RuntimeError):
    """A Ray did not start; says why, and what to do."""


class _Ended(Exception):
    """A process of the node has ended."""


class _TooSlow(Exception):
    """A process of the node took too long."""


class Start:
    """The start of a local Ray, and the processes that it has.

    Args:
        reread: makes Ray read its settings from the environment.
    """

    def __init__(self, reread: Callable[[], None]) -> None:
        self._reread = reread
        self._node: Any = None
        self._patience = _patience()

    def run(self, **kwargs: Any) -> Any:
        """Call ``ray.init``.

        Raises:
            NotStarted: the node did not come up. Nothing of it is left.
            Exception: whatever else ``ray.init`` raises.
        """
        import ray

        for with_ports in (False, True):
            try:
                with self._attended(with_ports):
                    # "local": without it Ray joins $RAY_ADDRESS or what was started here last.
                    return ray.init("local", **kwargs)
            except _Ended as error:
                self.end()
                if with_ports or not _can_give_ports() or unwanted.get()():
                    raise NotStarted(
                        f"A local Ray did not start: {error}. What it needs most is memory, and "
                        "room in /dev/shm and in the folder for temporary files; "
                        "`ray start --head --block` shows whether Ray starts here without flowdeck."
                    ) from None
            except _TooSlow as error:
                self.end()
                raise NotStarted(
                    f"A local Ray did not start within {self._patience:g} seconds: this machine is "
                    "too busy. Run the flow again when it is less so, or set "
                    f"{PATIENCE} to more seconds."
                ) from error
            except BaseException:
                self.end()
                raise
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _attended(self, with_ports: bool) -> Iterator[None]:
        """Inside the block, a node that is made is watched until it is there."""
        nodes: Any = importlib.import_module("ray._private.node")
        services: Any = importlib.import_module("ray._private.services")
        plain, get_node = nodes.Node, services.get_node
        find_port: Any = getattr(nodes, "wait_for_persisted_port", None)  # not in older versions
        start = self

        class WatchedNode(plain):  # type: ignore[misc, valid-type]
            def __init__(self, ray_params: Any, *args: Any, **kwargs: Any) -> None:
                start._node = self
                if with_ports:
                    first = _free_ports(len(_PORTS))
                    for offset, name in enumerate(_PORTS):
                        if not getattr(ray_params, name):
                            setattr(ray_params, name, first + offset)
                super().__init__(ray_params, *args, **kwargs)

            def start_raylet(self, *args: Any, **kwargs: Any) -> None:
                if with_ports:
                    _tell_ports(self)
                super().start_raylet(*args, **kwargs)

        def get_port(*args: Any, timeout_ms: int = 0, **kwargs: Any) -> Any:
            return start._wait(find_port, *args, timeout_ms=_SLICE * 1000, **kwargs)

        nodes.Node = WatchedNode
        services.get_node = lambda *args: start._wait(get_node, *args)
        if find_port is not None:
            nodes.wait_for_persisted_port = get_port
        before = os.environ.get(PATIENCE)
        os.environ[PATIENCE] = str(_SLICE)
        self._reread()
        try:
            yield
        finally:
            nodes.Node, services.get_node = plain, get_node
            if find_port is not None:
                nodes.wait_for_persisted_port = find_port
            if before is None:
                del os.environ[PATIENCE]
            else:
                os.environ[PATIENCE] = before
            self._reread()

    def _wait(self, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what one of Ray's waits finds, however often it gives up."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return ask(*args, **kwargs)
            except RuntimeError as error:
                dead = self._node.dead_processes()
                if dead:
                    kind, process = dead[0]
                    why = _last_words(Path(self._node.get_logs_dir_path()), kind)
                    text = f"its {kind} ended with code {process.returncode}{why}"
                    raise _Ended(text) from error
                if unwanted.get()():
                    raise _Ended("it was not wanted any more") from error
                if time.monotonic() > deadline:
                    raise _TooSlow from error

    def end(self) -> None:
        """End what is left of its processes."""
        node, self._node = self._node, None
        if node is None:
            return
        with contextlib.suppress(Exception):  # whatever it has not come to start
            node.kill_all_processes(check_alive=False, wait=True)
        folder = getattr(node, "_session_dir", None)
        deadline = time.monotonic() + _KILL_TIMEOUT
        # Its agents look for a node that was killed for another minute, and write to its folder.
        while folder and (left := _processes_in(folder)) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(Exception):
                    process.kill()
            time.sleep(0.02)


def _processes_in(folder: str) -> list[Any]:
    """Return the processes of Ray's, not those of tasks, that have files of a session open."""
    import ray

    try:
        psutil: Any = importlib.import_module("psutil")  # Ray brings it along
    except ImportError:
        return []
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = any(
                word.startswith(("ray::", f"{Path(ray.__file__).parent}/"))
                for word in process.cmdline()
            )
            if ours and any(file.startswith(f"{folder}/") for file in _files_of(process)):
                found.append(process)
    return found


def _files_of(process: Any) -> Iterator[str]:
    folder = Path(f"/proc/{process.pid}/fd")
    if folder.exists():
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())
    else:
        yield from (file.path for file in process.open_files())


def _patience() -> float:
    try:
        return float(os.environ[PATIENCE])
    except (KeyError, ValueError):
        return _SECONDS


def _last_words(logs: Path, kind: str) -> str:
    """Return what a process said when it ended, without the advice to report it."""
    with contextlib.suppress(OSError):
        for line in (logs / f"{kind}.out").read_text(errors="replace").splitlines()[::-1]:
            if re.match(r"\[[^\]]* [CEF] ", line):
                said = re.sub(r"^\[[^\]]*\] *(\(\w+\) )?", "", line)
                return f" ({re.sub(r'An unexpected.*we.ll work with you to fix it. ', '', said)})"
    return ""


def _can_give_ports() -> bool:
    raylet: Any = importlib.import_module("ray._raylet")
    return hasattr(raylet, "persist_port")


def _tell_ports(node: Any) -> None:
    """Write where a node finds the ports of its agents, as these will do when they have begun."""
    raylet: Any = importlib.import_module("ray._raylet")
    for name in _PORTS:
        port = getattr(node._ray_params, name)
        raylet.persist_port(node.get_session_dir_path(), node._node_id, name, port)


def _free_ports(count: int) -> int:
    """Return the first of some ports in a row that nobody has."""
    while True:
        first = random.randrange(_FIRST_PORT, _LAST_PORT - count)
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in range(first, first + count):
                held.enter_context(contextlib.closing(socket.create_server(("", port))))
            return first
