"""A Ray of our own for as long as it is needed: started without noise, ended without leftovers."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import os
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowdeck.task_runners._ray import health, quiet, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

#: What a temporary instance is started with unless ``init_kwargs`` say otherwise.
QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": "ERROR"}
_PREFIX: Final = "fdray-"
#: Characters that the system's folder for temporary files may have. The names of sockets may have
#: 103 bytes (107 on Linux): 23 are ours (prefix, pid, random part), 64 Ray's (session, socket).
_ROOM: Final = 16
_AUTH_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
#: Seconds for the last processes of an instance to let go of its folder.
_REMOVAL_TIMEOUT: Final = 10.0


class TemporaryInstance:
    """A local Ray with a folder and a token of its own."""

    def __init__(self, init_kwargs: dict[str, Any]) -> None:
        """Start it.

        Args:
            init_kwargs: for ``ray.init``; they win over our own settings.

        Raises:
            ray_start.NotStarted: it did not come up.
            Exception: whatever ``ray.init`` raises; nothing is left then.
        """
        remove_abandoned()
        self._folder: Path | None = None
        self._environment = quiet.Environment()
        self._kwargs = kwargs = {"include_dashboard": False, **QUIET, **init_kwargs}
        if "_temp_dir" not in kwargs:
            # A folder that only we can enter; Ray's own default is shared by all users.
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_root()))
            kwargs["_temp_dir"] = str(self._folder)
        self._start = start.Start(reread_token)
        try:
            self._bring_token()
            self.context: Any = self._start.run(**kwargs)
        except BaseException:
            self._environment.note()
            self.close()
            raise
        self._environment.note()

    def _bring_token(self) -> None:
        """Have the instance guarded by a token of its own.

        It listens on all interfaces, so it must not be open to everybody. Without any token Ray
        would write one into the user's home folder, readable for all and for good.
        """
        configured = any(os.environ.get(name) for name in (_AUTH_MODE, _TOKEN, _TOKEN_PATH))
        if not configured and not os.path.exists(os.path.expanduser("~/.ray/auth_token")):
            os.environ[_TOKEN] = secrets.token_hex(32)
            reread_token()

    def quiet(self) -> AbstractContextManager[None]:
        """Keep it quiet inside the block."""
        return quiet.no_talk(self._kwargs)

    def health_check(self) -> health.HealthCheck:
        """Return what looks after it."""
        import ray

        def has_nodes() -> bool:
            return any(node.get("Alive") for node in ray.nodes())

        address = ray.get_runtime_context().gcs_address
        return health.HealthCheck(address, health.OWN_PATIENCE, has_nodes)

    def close(self) -> None:
        """End all its processes and remove its folder."""
        import ray

        waits = "wait_for_processes" in inspect.signature(ray.shutdown).parameters
        try:
            ray.shutdown(**({"wait_for_processes": True} if waits else {}))
        finally:
            self._start.end()
            self._environment.restore()
            reread_token()
            if self._folder is not None:
                _remove(self._folder)


def _root() -> str:
    """Return where to put the folder, so that the names of the sockets in it are short enough."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > _ROOM and os.access("/tmp", os.W_OK) else usual


def reread_token() -> None:
    """Make Ray forget what it has read from the environment. Older versions have no tokens."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._raylet import AuthenticationTokenLoader, Config

        AuthenticationTokenLoader.instance().reset_cache()
        Config.initialize("")


def _remove(folder: Path) -> None:
    """Remove a folder that dying processes may still write into."""
    deadline = time.monotonic() + _REMOVAL_TIMEOUT
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > deadline:
            return  # the next start on this machine tries again
        time.sleep(0.02)


def remove_abandoned() -> None:
    """Remove folders of instances whose process was killed (Ray ends their processes itself)."""
    for folder in Path(_root()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            mine = folder.stat().st_uid == os.getuid()
            if mine and pid.isdecimal() and not _alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@contextlib.contextmanager
def sigterm_kept() -> Iterator[None]:
    """Leave SIGTERM to whoever handles it now.

    Ray's C++ puts a handler of its own there, which prints stack traces. Python's ``signal`` can
    only put the old one back from the main thread, the system's own function from any.
    """
    libc, handler = ctypes.CDLL(None), ctypes.create_string_buffer(1024)
    kept = hasattr(libc, "sigaction") and libc.sigaction(signal.SIGTERM, None, handler) == 0
    try:
        yield
    finally:
        if kept:
            libc.sigaction(signal.SIGTERM, handler, None)
