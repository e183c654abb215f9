"""Take away from a Python what only Linux has: what is left is what macOS has, too.

No ``/proc`` (but for psutil, which on macOS has calls of its own), no locks that survive a close, no
``posix_fallocate``, no files in memory, no boot clock. As ``sitecustomize`` it is in force in all that a
process starts. What this cannot show is the kernel of macOS itself.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import time
from typing import Any

GONE = {
    fcntl: ("F_OFD_SETLK", "F_OFD_SETLKW", "F_OFD_GETLK"),
    os: ("posix_fallocate", "memfd_create", "pidfd_open", "sched_getaffinity"),
    time: ("CLOCK_BOOTTIME",),
    mmap: ("MADV_POPULATE_READ",),
}
LOOKING = {"open", "os.listdir", "os.scandir"}


def hide(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse to look into ``/proc``, as where there is none."""
    if event not in LOOKING or not arguments:
        return
    path = arguments[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str) or not (path + "/").startswith("/proc/"):
        return
    frame = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("psutil"):
            return
        frame = frame.f_back  # type: ignore[assignment]
    raise FileNotFoundError(2, "No such file or directory", path)


def install() -> None:
    for module, names in GONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    sys.addaudithook(hide)
