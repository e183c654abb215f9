"""Which processes there are and which started which, from ``/proc``. Where that is not, psutil says it;
without either, only what one knows of a process itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment.

    Attributes:
        pid: its number.
        parent: its parent's.
        group: number of its process group.
        session: number of its session.
        started: when it started, in the kernel's ticks; with the number it tells which one it is.
    """

    pid: int
    parent: int
    group: int
    session: int
    started: int

    @property
    def leads_group(self) -> bool:
        return self.group == self.pid

    def goes_on(self) -> bool:
        """Say whether it is still there and has not ended."""
        now = read_process(self.pid)
        return now is not None and now.started == self.started


def read_process(pid: int) -> Process | None:
    """Return a process, ``None`` if there is none or it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return None if os.path.exists("/proc/self/stat") else _asked(pid)
    except OSError:
        return None
    if fields[0] in b"ZXx":
        return None
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def _asked(pid: int) -> Process | None:
    from flowdeck_store.file import without_proc

    known = without_proc.seen(pid)
    parent, started = (os.getpid(), 0) if known is None else (known.parent, known.started)
    try:
        return Process(pid, parent, os.getpgid(pid), os.getsid(pid), started)
    except OSError:
        return None


def table() -> dict[int, Process]:
    """Return all processes that can be seen, by number."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        from flowdeck_store.file import without_proc

        pids = [one.pid for one in without_proc.all_seen()]
    found = (read_process(pid) for pid in pids)
    return {process.pid: process for process in found if process is not None}


def family(pids: Iterable[int]) -> list[Process]:
    """Return processes and what they started, and that, but for those that left the session of the
    first one: they were meant to stay."""
    processes = table()
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found: dict[int, Process] = {}
    for pid in pids:
        first = processes.get(pid) or read_process(pid)
        line = [first] if first is not None else []
        while line:
            process = line.pop()
            if first is not None and process.session == first.session:
                found[process.pid] = process
                line += [one for one in children.get(process.pid, ()) if one.pid not in found]
    return list(found.values())
