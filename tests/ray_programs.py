"""A Ray that runs as programs of its own: a head node with token authentication and a client server,
reached as users reach theirs."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clusters import processes_with

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT = 90.0


class RayHead:
    """``ray start --head``, ended at exit with everything it started."""

    def __init__(self, num_cpus: int = 2) -> None:
        # Short: the names of sockets in it have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="fdr-", dir="/tmp"))
        self.token = self.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}
        port, client_port = _free_ports(2)
        arguments = {
            "port": port,
            "ray-client-server-port": client_port,
            "num-cpus": num_cpus,
            "object-store-memory": 300_000_000,
            "temp-dir": self.folder / "r",
            "include-dashboard": "false",
            "min-worker-port": 0,
            "max-worker-port": 0,
        }
        with (self.folder / "out").open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *(Path(sys.executable).with_name("ray"), "start", "--head", "--block"),
                    *("--disable-usage-stats", *(f"--{k}={v}" for k, v in arguments.items())),
                ],
                # Its client server forks, which gRPC's own support for that makes fail at times.
                env={**os.environ, **self.environment, "GRPC_ENABLE_FORK_SUPPORT": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(port, client_port)
        self.host = self._host()
        self.address = f"{self.host}:{port}"
        self.client_address = f"ray://{self.host}:{client_port}"

    def _host(self) -> str:
        import ray

        return str(ray.util.get_node_ip_address())

    def _wait(self, *ports: int) -> None:
        """Wait until the ports are open and Ray says that it runs."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if b"Ray runtime started" in self.output() and all(map(self._open, ports)):
                return
            time.sleep(0.1)
        output = self.output().decode()
        self.stop()
        raise RuntimeError(f"Ray did not start:\n{output}")

    def _open(self, port: int) -> bool:
        with contextlib.closing(socket.socket()) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex((self._host(), port)) == 0

    def output(self) -> bytes:
        """Return what it has written."""
        return (self.folder / "out").read_bytes()

    def pids(self, part: str = "") -> list[int]:
        """Return its processes whose command line has ``part`` in it. Some give themselves names."""
        folder = str(self.folder)
        return [
            pid
            for pid, line in processes_with(folder)
            if part in line and (folder in line or line.startswith("ray::"))
        ]

    def kill(self) -> None:
        """Have all its processes gone at once."""
        self._process.kill()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End all its processes and remove its folder: at once, Ray's own way takes seconds."""
        deadline = time.monotonic() + 20.0
        self.kill()
        self._process.wait(10.0)
        while (self.pids() or self.folder.exists()) and time.monotonic() < deadline:
            self.kill()  # what was only being started
            shutil.rmtree(self.folder, ignore_errors=True)
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Stay connected inside the block, so that flow runs need not connect each on its own."""
    from flowdeck.logging import get_logger
    from flowdeck.task_runners._ray.connection import attach

    connection = attach(address, {"namespace": "flowdeck"}, get_logger("tests"))
    try:
        yield
    finally:
        connection.release()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    try:
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()
