"""The cases of ``clusters.py`` through ``ray://``: a head node of two CPUs, started as a program of
its own with token authentication, that both sides are connected to."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

_token = tempfile.NamedTemporaryFile("w", prefix="fdb-token-")  # noqa: SIM115 - until the end
_token.write(secrets.token_hex(32))
_token.flush()
# Ray reads them when it is imported.
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=_token.name)

import clusters_ray  # noqa: E402
import ray  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Wall time of 3,000 no-op tasks in a row, as a ratio to raw Ray through the same client server.
BUDGET = 1.6
_START_TIMEOUT = 60.0

big_value = clusters_ray.big_value


def _free_port() -> int:
    with contextlib.closing(socket.create_server(("", 0))) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _head() -> Iterator[int]:
    """Start a head node; give the port of its client server."""
    with tempfile.TemporaryDirectory(prefix="fdb-", dir="/tmp", ignore_cleanup_errors=True) as name:
        here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        port, log = _free_port(), Path(name, "log")
        command = [
            *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"),
            *("--disable-usage-stats", "--num-cpus=2", "--include-dashboard=false"),
            *(f"--port={_free_port()}", f"--ray-client-server-port={port}"),
            *("--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={name}/r"),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                # Raw tasks name their functions: workers must be able to import them.
                env={**os.environ, "PYTHONPATH": here, "GRPC_ENABLE_FORK_SUPPORT": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait(port, process, log)
            yield port
        finally:
            process.terminate()
            process.wait(30.0)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.closing(socket.socket()) as probe:
            if b"Ray runtime started" in log.read_bytes() and not probe.connect_ex(
                ("127.0.0.1", port)
            ):
                return
        time.sleep(0.1)
    process.terminate()
    raise RuntimeError(f"Ray did not start:\n{log.read_text()}")


@contextlib.contextmanager
def cases() -> Iterator[dict[str, dict[str, Any]]]:
    """Start a head node and connect to it."""
    with _head() as port:
        host = ray.util.get_node_ip_address()
        ray.init(f"ray://{host}:{port}", namespace="flowdeck", logging_level="ERROR")
        try:
            yield clusters_ray.variants()
        finally:
            ray.shutdown()
