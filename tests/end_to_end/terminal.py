"""A real terminal with the app in it: keys go in, what is drawn comes out, through tmux's pty."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from flowdeck_app.drawing.cells import width

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """One tmux server with one window, which runs ``flowdeck``; close it when done.

    Args:
        home: where the app keeps its record.
        folder: working folder of the app.
        size: columns and rows.
        env: further variables of its environment.
        command: what runs in it; the app without one.
    """

    def __init__(
        self,
        home: Path,
        folder: Path,
        size: tuple[int, int] = (100, 30),
        env: Mapping[str, str] | None = None,
        command: str | None = None,
    ) -> None:
        self._socket = f"flowdeck-{uuid.uuid4().hex[:12]}"
        command = command or shlex.join([sys.executable, "-P", "-m", "flowdeck_app"])
        columns, lines = map(str, size)
        given = {"FLOWDECK_HOME": str(home), **(env or {})}
        self._tmux(
            "-f", os.devnull, "new-session", "-d", "-s", "app", "-x", columns, "-y", lines,
            "-c", str(folder), *(word for item in given.items() for word in ("-e", "=".join(item))),
            command,
            ";", "set-option", "-s", "set-clipboard", "on",
        )  # fmt: skip

    def _tmux(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tmux", "-L", self._socket, *words],
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    @property
    def alive(self) -> bool:
        """Whether the app is still there: the window goes with it."""
        return self._tmux("has-session", "-t", "app").returncode == 0

    def screen(self) -> str:
        """Return what is drawn now."""
        return self._tmux("capture-pane", "-p", "-t", "app").stdout

    def cursor(self) -> str:
        """Return where the terminal's cursor is: the app puts it into the field with the focus."""
        return self._tmux("display-message", "-p", "-t", "app", "#{cursor_x},#{cursor_y}").stdout

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names."""
        self._tmux("send-keys", "-t", "app", *keys)

    def step(self, key: str) -> None:
        """Press a key and wait until it has changed something: a text, a colour, the cursor."""
        before = self._drawn()
        self.press(key)
        self.until(lambda _: self._drawn() != before)

    def _drawn(self) -> str:
        return self._tmux("capture-pane", "-e", "-p", "-t", "app").stdout + self.cursor()

    def resize(self, size: tuple[int, int]) -> None:
        """Change the size of the window."""
        self._tmux("resize-window", "-t", "app", "-x", str(size[0]), "-y", str(size[1]))

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-t", "app", "-l", text)

    def burst(self, text: str) -> None:
        """Send bytes in one go, control characters as they are."""
        self._tmux("send-keys", "-t", "app", "-H", *(f"{byte:02x}" for byte in text.encode()))

    # -- the mouse: what a terminal sends while an app has asked for SGR reports (1006) -------

    @staticmethod
    def _report(button: int, at: tuple[int, int], *, up: bool = False) -> str:
        return f"\x1b[<{button};{at[0] + 1};{at[1] + 1}{'m' if up else 'M'}"

    def place(self, text: str, part: int = 0) -> tuple[int, int]:
        """Wait for a text and return the cell (column, line) of one of its letters."""
        for y, line in enumerate(self.still(text).splitlines()):
            if text in line:
                return width(line[: line.index(text)]) + part, y
        raise AssertionError(text)

    def click(self, at: str | tuple[int, int], times: int = 1) -> None:
        """Click on a text or a cell."""
        spot = self.place(at) if isinstance(at, str) else at
        self.burst((self._report(0, spot) + self._report(0, spot, up=True)) * times)

    def wheel(self, at: tuple[int, int], lines: int) -> None:
        """Turn the wheel: up with a negative number."""
        self.burst(self._report(64 if lines < 0 else 65, at) * abs(lines))

    def drag(self, start: tuple[int, int], end: tuple[int, int], *, grabbed: bool = False) -> None:
        """Press the button on one cell, move to another, and let go.

        Args:
            start: where the button is pressed.
            end: where it is released.
            grabbed: wait until what was pressed has changed its look, as a scrollbar does.
        """
        between = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
        self.burst(self._report(35, start))  # the pointer comes
        before = self._drawn()
        self.burst(self._report(0, start))
        if grabbed:
            self.until(lambda _: self._drawn() != before)
        self.burst("".join(self._report(32, spot) for spot in (between, end)))
        self.burst(self._report(0, end, up=True))

    def clipboard(self) -> str:
        """Return what the app has put into the terminal's clipboard (OSC 52)."""
        return self._tmux("show-buffer").stdout

    def until(self, what: str | Callable[[str], object], seconds: float = 60.0) -> str:
        """Wait until the screen shows a text (or fulfils a condition), and return the screen."""
        deadline = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if what in shown if isinstance(what, str) else what(shown):
                return shown
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:g} s the terminal does not show {what!r} but\n{shown}")
            time.sleep(0.03)  # the pause between two looks

    def still(self, what: str | Callable[[str], object], looks: int = 5) -> str:
        """As :meth:`until`, and wait until the screen stands still: what is pointed at must not
        move away while the pointer comes."""
        shown, same = self.until(what), 0
        while same < looks:
            before, shown = shown, self.until(what)
            same = same + 1 if shown == before else 0
            time.sleep(0.03)  # the pause between two looks
        return shown

    def close(self) -> None:
        """End the server, and the app if it is still there."""
        self._tmux("kill-server")


def figures(shown: str) -> tuple[int, int] | None:
    """Return ended and all tasks of the run on the screen, as in ``148/212  70%``."""
    found = re.search(r"\b(\d+)/(\d+)\s+\d+%", shown)
    return (int(found[1]), int(found[2])) if found else None
