"""A pseudo terminal without a terminal program: bytes go in as they are, and come out as they are."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class PseudoTerminal:
    """A process with a terminal of its own.

    Args:
        home: flowdeck's home folder.
        folder: working folder.
        command: what runs in it; the app without one.
        size: columns and rows.
    """

    def __init__(
        self,
        home: Path,
        folder: Path,
        command: Sequence[str] = (sys.executable, "-P", "-m", "flowdeck_app"),
        size: tuple[int, int] = (100, 30),
    ) -> None:
        self.side, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.output = b""
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "FLOWDECK_HOME": str(home), "TERM": "xterm-256color"},
            start_new_session=True,
        )

    def read(self) -> bytes:
        """Take what has come; return all of it."""
        while select.select([self.side], [], [], 0.02)[0]:
            try:
                data = os.read(self.side, 65536)
            except OSError:
                break
            if not data:
                break
            self.output += data
        return self.output

    def until(self, text: bytes, *, since: int = 0, seconds: float = 60) -> None:
        """Wait until a text has been written behind the first ``since`` bytes."""
        deadline = time.monotonic() + seconds
        while text not in self.read()[since:]:
            if time.monotonic() > deadline or (
                self.process.poll() is not None and not self._more()
            ):
                pytest.fail(f"{text!r} is not among the last bytes: {self.output[-3000:]!r}")

    def _more(self) -> bool:
        before = len(self.output)
        return len(self.read()) > before

    def send(self, data: bytes) -> None:
        """Type bytes."""
        os.write(self.side, data)

    def attributes(self) -> list[Any]:
        """Return the terminal's settings as they are now."""
        return termios.tcgetattr(self._theirs)

    def ended(self, seconds: float = 30) -> int:
        """Wait for the end of the process, and return its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.read()
            if time.monotonic() > deadline:
                pytest.fail(f"the process goes on: {self.output[-2000:]!r}")
        self.read()
        return self.process.wait()

    def hang_up(self) -> None:
        """Take the terminal away."""
        os.close(self._theirs)
        os.close(self.side)
        self.side = self._theirs = -1

    def close(self) -> None:
        """End what is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for side in {self.side, self._theirs} - {-1}:
            os.close(side)
