"""Who this process is: host, boot, process id and its start time."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flowdeck_store.events import now_us
from flowdeck_store.file import without_proc


@dataclass(frozen=True, slots=True)
class Identity:
    """A recording process, as its journal and its session row name it."""

    uid: str
    host: str
    boot_id: str | None
    pid: int
    pid_start: int | None  # in clock ticks since boot; tells two processes with one pid apart
    started_us: int
    version: str
    python: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Identity:
        """Read what :meth:`as_dict` wrote; unknown keys of other versions are left out."""
        return cls(**{name: data.get(name) for name in cls.__slots__})  # type: ignore[arg-type]


def of_this_process(version: str) -> Identity:
    """Describe this process for a new session."""
    pid = os.getpid()
    return Identity(
        uid=os.urandom(16).hex(),
        host=host_name(),
        boot_id=boot_id(),
        pid=pid,
        pid_start=pid_start(pid),
        started_us=now_us(),
        version=version,
        python=f"{sys.implementation.name} {sys.version.split()[0]}",
    )


def host_name() -> str:
    """Return the name of this machine (or container)."""
    return os.uname().nodename


@functools.cache
def boot_id() -> str | None:
    """Return what tells one boot of one kernel from all others, where the system says so."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return without_proc.boot_id()


def is_here(boot: str | None, host: str) -> bool:
    """Say whether a session runs under this very kernel, so that its process lock can be asked."""
    mine = boot_id()
    if mine is None or boot is None:
        return host == host_name()
    return boot == mine


def pid_start(pid: int) -> int | None:
    """Return when a process of this machine started (ticks since boot); ``None`` if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        known = without_proc.seen(pid) if without_proc.is_needed() else None
        return None if known is None else known.started
    # The name in parentheses may contain anything; the fields follow the last parenthesis.
    return int(stat[stat.rindex(b")") + 2 :].split()[19])


def process_runs(pid: int, start: int | None) -> bool:
    """Say whether that very process still runs here (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        known = without_proc.seen(pid) if without_proc.is_needed() else None
        return known is not None and (start is None or known.started == start)
    fields = stat[stat.rindex(b")") + 2 :].split()
    return fields[0] not in {b"Z", b"X"} and (start is None or int(fields[19]) == start)
