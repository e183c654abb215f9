"""A headless Chromium, driven through its DevTools protocol: keys go in, text and pixels come out."""

from __future__ import annotations

import asyncio
import base64
import shutil
import struct
import subprocess
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-proxy-server", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader",
    "--hide-scrollbars", "--window-size=1280,800", "--remote-debugging-port=0",
)  # fmt: skip

#: Keeps the page's terminal where the test can read it: its script has no name for it.
FIND_TERMINAL = """
Object.defineProperty(Object.prototype, "websocket_url", {
  configurable: true,
  set(url) {
    Object.defineProperty(this, "websocket_url", {value: url, writable: true});
    window.flowdeckTerminal = this;
  },
});
"""
READ_TERMINAL = """
(() => {
  const buffer = window.flowdeckTerminal?.terminal?.buffer.active;
  if (!buffer) return "";
  return Array.from({length: buffer.length}, (_, i) => buffer.getLine(i).translateToString(true))
    .join("\\n");
})()
"""
WHERE_IT_IS = """
(() => {
  const {cols, rows} = window.flowdeckTerminal.terminal;
  const {x, y, width, height} = document.querySelector(".xterm-screen").getBoundingClientRect();
  return {x, y, cell: width / cols, line: height / rows};
})()
"""


@dataclass(frozen=True)
class Picture:
    """A decoded PNG: rows of pixels of ``depth`` bytes each."""

    width: int
    rows: list[bytes]
    depth: int

    @classmethod
    def decode(cls, data: bytes) -> Picture:
        """Decode what a browser writes: eight bits a channel, not interlaced."""
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height, bits, colours, *_, interlaced = struct.unpack(">IIBBBBB", data[16:29])
        assert (bits, interlaced) == (8, 0)
        depth = {2: 3, 6: 4}[colours]
        packed, place = b"", 8
        while place < len(data):
            (size,) = struct.unpack(">I", data[place : place + 4])
            if data[place + 4 : place + 8] == b"IDAT":
                packed += data[place + 8 : place + 8 + size]
            place += size + 12
        return cls(width, _unfiltered(zlib.decompress(packed), width * depth, height, depth), depth)

    def ink(self, left: float, top: float, width: float, height: float) -> float:
        """Return the share of pixels of a rectangle that differ from its first one."""
        columns = range(round(left), round(left + width))
        pixels = [
            row[x * self.depth : x * self.depth + 3]
            for row in self.rows[round(top) : round(top + height)]
            for x in columns
        ]
        return sum(pixel != pixels[0] for pixel in pixels) / len(pixels)


def _unfiltered(raw: bytes, stride: int, height: int, depth: int) -> list[bytes]:
    """Return the rows; three million bytes a picture, so each kind of row has a loop of its own."""
    rows: list[bytes] = []
    before = bytes(stride)
    for number in range(height):
        start = number * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        if kind == 2:
            row = bytearray([(byte + up) & 0xFF for byte, up in zip(row, before, strict=True)])
        elif kind:
            for i in range(depth):  # nothing is left of the first pixel
                row[i] = (row[i] + (0, 0, 0, before[i] // 2, before[i])[kind]) & 0xFF
            if kind == 1:
                for i in range(depth, stride):
                    row[i] = (row[i] + row[i - depth]) & 0xFF
            elif kind == 3:
                for i in range(depth, stride):
                    row[i] = (row[i] + (row[i - depth] + before[i]) // 2) & 0xFF
            else:
                _add_nearest(row, before, depth)
        before = bytes(row)
        rows.append(before)
    return rows


def _add_nearest(row: bytearray, before: bytes, depth: int) -> None:
    """Add to each byte the one of its neighbours that is nearest to left + up - corner."""
    for i in range(depth, len(row)):
        left, up, corner = row[i - depth], before[i], before[i - depth]
        to_left, to_up, to_corner = (
            abs(up - corner),
            abs(left - corner),
            abs(left + up - 2 * corner),
        )
        if to_left <= to_up and to_left <= to_corner:
            guess = left
        else:
            guess = up if to_up <= to_corner else corner
        row[i] = (row[i] + guess) & 0xFF


class Page:
    """The one page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.asked: list[str] = []

    async def do(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; addresses asked for are noted."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("method") == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])
            if message.get("id") == self._number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found

    async def value(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = await self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, what: Callable[[str], object], seconds: float = 60.0) -> list[str]:
        """Wait until the terminal's text fulfils a condition, and return its lines."""
        deadline = time.monotonic() + seconds
        while not what(text := await self.value(READ_TERMINAL) or ""):
            assert time.monotonic() < deadline, f"the terminal shows only\n{text}"
            await asyncio.sleep(0.05)  # the pause between two looks
        return str(text).split("\n")

    async def press(self, key: str) -> None:
        """Press a key that types a character."""
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self, file: Path | None = None) -> Picture:
        """Return what is drawn, and keep it in a file."""
        await self.value("new Promise(done => requestAnimationFrame(() => done()))")
        data = base64.b64decode((await self.do("Page.captureScreenshot"))["data"])
        if file is not None:
            file.write_bytes(data)
        return Picture.decode(data)

    async def place(self) -> dict[str, float]:
        """Return where the terminal is: ``x``, ``y``, width of a ``cell``, height of a ``line``."""
        found: dict[str, float] = await self.value(WHERE_IT_IS)
        return found


@asynccontextmanager
async def browse(address: str, folder: Path) -> AsyncIterator[Page]:
    """Open an address in a browser of its own, with an empty profile in ``folder``."""
    assert CHROMIUM is not None
    profile = folder / "profile"
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            port = await asyncio.to_thread(_port, profile / "DevToolsActivePort")
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = await answer.json(content_type=None)
            url = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                page = Page(socket)
                await page.do("Page.enable")
                await page.do("Network.enable")
                await page.do("Page.addScriptToEvaluateOnNewDocument", source=FIND_TERMINAL)
                await page.do("Page.navigate", url=address)
                yield page
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(file: Path, seconds: float = 60.0) -> int:
    """Wait until the browser says at which port it listens."""
    deadline = time.monotonic() + seconds
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    return int(file.read_text().split("\n")[0])
