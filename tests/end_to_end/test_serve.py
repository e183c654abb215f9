"""`flowdeck ui --serve`: the app in a browser, on this machine only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("textual_serve", reason="the extra 'serve' is not installed")

pytestmark = pytest.mark.timeout(180)

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(home: Path, port: int, *options: str) -> subprocess.Popen[str]:
    """Start the server; its output is read from its pipe."""
    return subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "flowdeck_app",
            "ui",
            "--serve",
            "--port",
            str(port),
            *options,
        ],
        env={**os.environ, "FLOWDECK_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        cwd=home.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def answer(port: int, seconds: float = 60.0) -> tuple[int, str]:
    """Wait for the server and return status and body of its first page."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as response:
                return response.status, response.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


def end(server: subprocess.Popen[str]) -> str:
    """End a server and return what it printed."""
    server.terminate()
    try:
        said, _ = server.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        said, _ = server.communicate()
    return said


@pytest.fixture
def port(home: Path) -> Iterator[int]:
    """A server on this machine only."""
    number = free_port()
    server = serve(home, number)
    yield number
    end(server)


def test_it_answers_on_this_machine(port: int) -> None:
    status, body = answer(port)
    assert status == 200
    assert "flowdeck" in body.lower()


def test_another_host_is_warned_of(home: Path) -> None:
    number = free_port()
    server = serve(home, number, "--host", "0.0.0.0")
    try:
        assert answer(number)[0] == 200
    finally:
        said = end(server)
    assert "no password" in said
