"""How long ``flowdeck`` takes from being called to its first frame, in a terminal of its own.

    python benchmarks/app_start.py HOME

The command is started as a user starts it, in a pty; its bytecode is compiled before, as it is
where a package is installed. Measured are the time until Home's frame is written and until its
rows are, and the processor time that the process had used by then: on a busy computer that is the
figure to trust.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
SIZE = (120, 40)
#: What is written with Home's frame, and with the first row of its lists.
FRAME, ROWS = b"Active and recent runs", b"run-"
_TICK = os.sysconf("SC_CLK_TCK")


def environment(home: Path, bytecode: str) -> dict[str, str]:
    """Return the environment of the command: this repository, bytecode kept in a folder."""
    given = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    path = os.pathsep.join(str(ROOT / part) for part in ("engine", "store", "app"))
    return given | {
        "FLOWDECK_HOME": str(home), "PYTHONPYCACHEPREFIX": bytecode, "PYTHONPATH": path,
        "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8",
    }  # fmt: skip


def start(home: Path, bytecode: str) -> tuple[float, float, float]:
    """Start the app once; return ms to the frame, processor ms until then, ms to the rows."""
    env = environment(home, bytecode)
    began = time.perf_counter()
    pid, master = pty.fork()
    if pid == 0:  # the app
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        os.chdir(home)
        os.execve(sys.executable, [sys.executable, "-P", "-m", "flowdeck_app"], env)
    try:
        frame, seen = _until(master, FRAME, b"")
        cpu = _processor_ms(pid)
        rows, _ = _until(master, ROWS, seen)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(master)
    return (frame - began) * 1e3, cpu, (rows - began) * 1e3


def _until(master: int, needle: bytes, seen: bytes) -> tuple[float, bytes]:
    """Read until something is written; return when that was, and all that was read."""
    deadline = time.perf_counter() + 60
    while needle not in seen:
        ready, _, _ = select.select([master], [], [], max(0.0, deadline - time.perf_counter()))
        if not ready:
            raise TimeoutError(f"{needle!r} was not drawn; the end of what was: {seen[-2000:]!r}")
        seen += os.read(master, 65536)
    return time.perf_counter(), seen


def _processor_ms(pid: int) -> float:
    """Return the processor time of a process (to 10 ms, as Linux counts it)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e3 / _TICK


def starts(home: Path, times: int = 7) -> dict[str, float]:
    """Return the medians of some starts (the first, which compiles, does not count)."""
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-") as bytecode:
        start(home, bytecode)
        taken = [start(home, bytecode) for _ in range(times)]
    frame, cpu, rows = (median(column) for column in zip(*taken, strict=True))
    return {
        "first paint, from the call": frame,
        "first paint, processor time": cpu,
        "rows of Home, from the call": rows,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path, help="flowdeck's home folder, with runs in it")
    for name, value in starts(parser.parse_args().home).items():
        print(f"{name:<34}{value:>9.1f} ms")
