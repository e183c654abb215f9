"""Limits by tag: at most two readers at a time, over all flows and processes of one record.

    flowdeck config limit disk 2
    python examples/limits.py               # prints "at most 2 at once"
    flowdeck config limit disk none

A task run that waits for its turn is Pending and holds no thread: the ``count`` tasks overtake.
"""

from __future__ import annotations

import sysconfig
import threading
import time
from pathlib import Path

from flowdeck import flow, task

LIBRARY = Path(sysconfig.get_paths()["stdlib"])


class Meter:
    """How many are inside at once, and how many there were at most."""

    def __init__(self) -> None:
        """Start with nobody inside."""
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Go in."""
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        """Go out."""
        with self._lock:
            self.inside -= 1


meter = Meter()


@task(tags=["disk"])
def read(path: Path) -> bytes:
    """Read a file from a disk that should not be asked for too much at once."""
    with meter:
        time.sleep(0.05)
        return path.read_bytes()


@task
def count(content: bytes) -> int:
    """Count lines; no tag, no limit."""
    return content.count(b"\n")


@flow
def limits(package: str = "email") -> int:
    """Count the lines of a package; return how many files were read at once at most."""
    counts = count.map(read.map(sorted((LIBRARY / package).glob("*.py"))))
    print(f"{sum(future.result() for future in counts)} lines")
    return meter.most


if __name__ == "__main__":
    print(f"at most {limits()} at once")
