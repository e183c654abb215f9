"""Whether a process that is gone was killed for want of memory, and how that is said.

Nobody tells a process that the kernel ends it, and whoever finds it gone sees a SIGKILL at most. What can
be read afterwards: the kernel's count of such kills in the control group (``memory.events``, or
``memory.oom_control`` of version 1), its messages (``/dev/kmsg``, for those who may), and how near the last
sample of the process was to what it may have. All words about it are made here, so that every task runner,
and the recovery of runs whose process is gone, say the same.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from typing import Final

_GROUPS: Final = "/sys/fs/cgroup"
#: From this share of the limit on, the last sample says that memory was the reason, probably.
NEAR: Final = 0.8
#: A limit of version 1 that is none: almost 2**63.
_NO_LIMIT: Final = 1 << 60
_MESSAGES: Final = 50_000
_SLACK_S: Final = 5.0
_KILLED: Final = re.compile(rb"^\d+,\d+,(\d+),.*Killed process (\d+) \(")


def said(
    memory: int | None, limit: int | None, *, certain: bool = False, who: str = "the kernel"
) -> str:
    """Return the sentences that follow on "was killed", with a space before; ``""``: nothing is known.

    Args:
        memory: what the last sample of the process said, bytes.
        limit: what it may have, bytes.
        certain: somebody says that it was killed for its memory.
        who: says so.
    """  # fmt: skip
    sample = "" if memory is None else f"the last sample said {size(memory)}"
    if sample and limit is not None:
        sample += f" of {size(limit)}"
    if certain:
        return f" Out of memory, says {who}{': ' + sample if sample else ''}."
    if memory is None:
        return ""
    if limit is not None and memory >= limit * NEAR:
        return f" Probably out of memory: {sample}."
    return f" {sample[0].upper()}{sample[1:]}."


def size(count: int) -> str:
    """Return bytes as people say them: ``7.8 GB`` (powers of 1000)."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def memory_limit() -> int | None:
    """Return the bytes that this process may have: of its control groups or of the machine."""
    limits = [_number(f"{folder}/{name}") for folder, names in _folders()
              for name in names[:1]]  # fmt: skip
    found = [limit for limit in (*limits, _machine()) if limit is not None and limit < _NO_LIMIT]
    return min(found, default=None)


def count() -> int | None:
    """Return how often the kernel has killed a process of this control group for its memory."""
    for folder, names in _folders():
        for line in _read(f"{folder}/{names[1]}").splitlines():
            name, _, number = line.partition(b" ")
            if name == b"oom_kill" and number.strip().isdigit():
                return int(number)
    return None


class KillCount:
    """Says of deaths whether the kernel has counted a kill for each since this was made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen = count()

    def take(self) -> bool:
        """Say whether there is one more, and take it."""
        with self._lock:
            now = count()
            if now is None or self._seen is None or now <= self._seen:
                return False
            self._seen += 1
            return True


def kernel_names(pid: int, since: float | None = None) -> bool:
    """Say whether the kernel's messages have that it killed a process for its memory.

    Args:
        pid: of the process.
        since: seconds since the epoch; what was said before, less a little, is of another one.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return False  # not Linux: there are no such messages
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) if since is not None else 0.0
    for us, killed in _kills():
        if killed == pid and (since is None or boot + us / 1e6 >= since - _SLACK_S):
            return True
    return False


def _kills() -> list[tuple[int, int]]:
    """Return when, µs since the start of the machine, the kernel killed which process."""
    found = []
    try:
        file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        for _ in range(_MESSAGES):
            try:
                text = os.read(file, 8192)
            except BrokenPipeError:  # older ones were overwritten while we read
                continue
            match = _KILLED.match(text)
            if match:
                found.append((int(match[1]), int(match[2])))
    except OSError:  # no more of them
        pass
    finally:
        os.close(file)
    return found


def _folders() -> list[tuple[str, tuple[str, str]]]:
    """Return the folders of this process's control groups, the inner ones first, each with the names of
    its files: the limit, the events."""
    found = []
    for line in _read("/proc/self/cgroup").decode(errors="replace").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root, names = _GROUPS, ("memory.max", "memory.events")
        elif "memory" in controllers.split(","):
            root, names = f"{_GROUPS}/memory", ("memory.limit_in_bytes", "memory.oom_control")
        else:
            continue
        while path not in {"", "/"}:
            found.append((root + path, names))
            path = path.rpartition("/")[0]
        found.append((root, names))
    return [(folder, names) for folder, names in found if os.path.isdir(folder)]


def _machine() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith(b"MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: str) -> bytes:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(65_536)
    return b""
