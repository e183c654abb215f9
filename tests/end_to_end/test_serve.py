"""`flowdeck ui --serve`: the app in a browser, on this machine only."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("textual_serve", reason="the extra 'serve' is not installed")

import aiohttp
from browser import CHROMIUM, browse

pytestmark = pytest.mark.timeout(180)

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


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


def token_of(server: subprocess.Popen[str]) -> str:
    """Wait until the server has printed its address, and return the token in it."""
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"/\?token=(\S+)", line)
        if found:
            return found[1]
    raise AssertionError("the server has ended")


def answer(address: str, seconds: float = 60.0) -> tuple[int, str]:
    """Wait for the server and return status and body of a page; cookies are kept on the way."""
    deadline = time.monotonic() + seconds
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    while True:
        try:
            with opener.open(address, timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
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


class Served(NamedTuple):
    """A running server."""

    port: int
    token: str

    @property
    def at(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def address(self) -> str:
        """What the user is to open."""
        return f"{self.at}?token={self.token}"


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    """A server on this machine only."""
    number = free_port()
    server = serve(home, number)
    try:
        yield Served(number, token_of(server))
    finally:
        end(server)


def test_it_answers_nobody_but_who_has_the_address(served: Served) -> None:
    status, body = answer(served.address)
    assert status == 200
    assert "flowdeck" in body.lower()
    assert served.token not in body
    for path in ("", "?token=", f"?token={served.token}x", "static/js/textual.js", "static/",
                 "download/x", "ws", "nothing"):  # fmt: skip
        status, body = answer(served.at + path)
        assert status == 403, path
        assert "the address" in body


def test_the_token_becomes_a_cookie_and_leaves_the_address(served: Served) -> None:
    async def visit() -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for _ in range(2):  # also when the address is opened once more
                async with session.get(served.address, allow_redirects=False) as first:
                    assert (first.status, first.headers["Location"]) == (302, "/")
                    cookie = first.headers["Set-Cookie"]
                    assert "HttpOnly" in cookie
                    assert "SameSite=Lax" in cookie
            for path in ("", "static/js/textual.js"):
                async with session.get(served.at + path) as page:
                    assert page.status == 200, path
                # A stranger's name that points here gets nothing, not even with the cookie.
                names = {
                    "Host": f"elsewhere.example:{served.port}",
                    "Cookie": f"flowdeck-{served.port}={served.token}",
                }
                async with session.get(served.at + path, headers=names) as page:
                    assert page.status == 403, path

    asyncio.run(visit())


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_draws_the_app_and_gives_it_the_keys(
    served: Served, home: Path, tmp_path: Path
) -> None:
    shutil.copy(EXAMPLES / "stdlib_census.py", home.parent)
    address = served.at

    async def look() -> None:
        async with browse(served.address, tmp_path) as page:
            lines = await page.until(lambda shown: "census" in shown and "Quit" in shown)
            number = next(i for i, line in enumerate(lines) if "census" in line)
            at, grid = lines[number].index("census"), await page.place()

            def rectangle(line: int) -> tuple[float, float, float, float]:
                left, top = grid["x"] + at * grid["cell"], grid["y"] + line * grid["line"]
                return left, top, 6 * grid["cell"], grid["line"]

            # The letters are on the screen, where the terminal has them; empty rows are empty.
            drawn = await page.picture(tmp_path / "home.png")
            blank = next(i for i, line in enumerate(lines) if not line.strip("│ "))
            assert drawn.ink(*rectangle(number)) > 0.1
            assert drawn.ink(*rectangle(blank)) == 0

            # A key opens the launch dialog; no click was needed, and the picture changes with it.
            await page.press("r")
            await page.until(lambda shown: "flowdeck run stdlib_census.py:census --detach" in shown)
            dialog = await page.picture(tmp_path / "launch.png")
            changed = sum(a != b for a, b in zip(dialog.rows, drawn.rows, strict=True))
            assert changed > 10 * grid["line"]

            assert page.asked, "the browser's requests were not seen"
            assert [url for url in page.asked if not url.startswith((address, "data:"))] == []

    asyncio.run(look())


def test_only_its_own_page_gets_the_keyboard(served: Served) -> None:
    port = served.port
    cookie = {"Cookie": f"flowdeck-{port}={served.token}"}
    own, other = f"127.0.0.1:{port}", f"elsewhere.example:{port}"
    callers: dict[str, dict[str, str]] = {
        "no browser": {},
        "own page": {"Origin": f"http://{own}"},
        "own page by name": {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"},
        "other page": {"Origin": f"http://{other}"},
        "no page": {"Origin": "null"},
        "other name for here": {"Origin": f"http://{other}", "Host": other},
    }

    async def knock(headers: dict[str, str]) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"http://{own}/ws", headers=headers),
            ):
                return True
        except aiohttp.WSServerHandshakeError as error:
            return error.status != 403

    assert not any(asyncio.run(knock(headers)) for headers in callers.values())
    let_in = [name for name, headers in callers.items() if asyncio.run(knock(headers | cookie))]
    assert let_in == ["no browser", "own page", "own page by name"]


def test_another_host_is_warned_of(home: Path) -> None:
    number = free_port()
    server = serve(home, number, "--host", "0.0.0.0")
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        token = token_of(server)
        assert answer(f"http://127.0.0.1:{number}/?token={token}")[0] == 200
        assert answer(f"http://127.0.0.1:{number}/")[0] == 403
    finally:
        end(server)
    assert "whoever has the address" in said
