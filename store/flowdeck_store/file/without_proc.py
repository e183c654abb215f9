"""What there is to know of processes where there is no ``/proc``, as on macOS: by psutil.

There flowdeck installs psutil with itself; on Linux the files of ``/proc`` say the same for a hundredth
of the time, and this module is not used. Without either, callers get ``None``: less is known.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any, Final, NamedTuple

#: Starts of processes are in these parts of a second, as in ``/proc``.
_TICKS: Final = 100
_NS: Final = 10**9


class SeenProcess(NamedTuple):
    """A process that has not ended: its number, its parent's, when it started (1/100 s)."""

    pid: int
    parent: int
    started: int


class ProcessUse(NamedTuple):
    """What a process has used so far (``cpu_ns``) and has now (``memory`` in bytes, ``threads``)."""

    cpu_ns: int
    memory: int
    threads: int


@functools.cache
def is_needed() -> bool:
    """Say whether this system has no ``/proc``."""
    try:
        with open("/proc/self/stat", "rb"):
            return False
    except OSError:
        return True


@functools.cache
def _psutil() -> Any:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


def seen(pid: int) -> SeenProcess | None:
    """Return a process; ``None``: it has ended, or nothing is known of it."""
    psutil = _psutil()
    if psutil is None:
        return None
    try:
        return _seen(psutil.Process(pid))
    except (psutil.Error, OSError, ValueError):
        return None


def all_seen() -> list[SeenProcess]:
    """Return all processes that may be looked at."""
    psutil = _psutil()
    if psutil is None:
        return []
    found = []
    for process in psutil.process_iter():
        try:
            one = _seen(process)
        except (psutil.Error, OSError):
            continue  # it ended just now, or is another user's
        if one is not None:
            found.append(one)
    return found


def _seen(process: Any) -> SeenProcess | None:
    with process.oneshot():
        if process.status() in {"zombie", "dead"}:
            return None
        return SeenProcess(process.pid, process.ppid(), round(process.create_time() * _TICKS))


def spent(*, children: bool) -> ProcessUse | None:
    """Return what this process uses, with the processes below it if asked."""
    psutil = _psutil()
    if psutil is None:
        return None
    try:
        me = psutil.Process()
        below = me.children(recursive=True) if children else []
    except (psutil.Error, OSError):
        return None
    cpu, memory, threads = 0.0, 0, 1
    for process in (me, *below):
        try:
            with process.oneshot():
                times = process.cpu_times()
                cpu += times.user + times.system
                if children:
                    cpu += times.children_user + times.children_system
                memory += process.memory_info().rss
                if process is me:
                    threads = process.num_threads()
        except (psutil.Error, OSError):
            continue  # ended just now
    return ProcessUse(int(cpu * _NS), memory, threads)


def resident() -> int | None:
    """Return the bytes of memory that this process has now."""
    psutil = _psutil()
    try:
        return None if psutil is None else int(psutil.Process().memory_info().rss)
    except (psutil.Error, OSError):
        return None


def mounts() -> list[tuple[str, str]]:
    """Return where file systems are mounted, and their types."""
    psutil = _psutil()
    try:
        found = [] if psutil is None else psutil.disk_partitions(all=True)
    except (psutil.Error, OSError):
        return []
    return [(one.mountpoint, one.fstype) for one in found]


def boot_id(platform: str = sys.platform) -> str | None:
    """Return what tells one boot from all others: macOS has a name for each."""
    if platform != "darwin":
        return None
    try:
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None
