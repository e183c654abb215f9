"""What one call of a task's function uses.

On a thread beside others only its processor time can honestly be told: memory and bytes are the
process's. A worker that executes one function at a time is another matter: what its process used
meanwhile, threads of libraries included, is what the function used. Two clocks are read for the first,
a microsecond; some open files of the kernel's for the second, about 15 µs.
"""

from __future__ import annotations

import threading
import time
from typing import Final, NamedTuple, Self, TypeAlias

from flowdeck.metrics import kernel

#: As in the event: processor time in µs, peak and growth of memory, bytes read and written.
Usage: TypeAlias = tuple[int | None, int | None, int | None, int | None, int | None]


class ThreadClock:
    """Measures the processor time of the thread that enters and leaves it."""

    __slots__ = ("_began", "usage")

    def __init__(self) -> None:
        self._began = 0
        self.usage: Usage | None = None

    def __enter__(self) -> Self:
        self._began = time.thread_time_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self.usage = ((time.thread_time_ns() - self._began) // 1000, None, None, None, None)


class _Begun(NamedTuple):
    turn: int
    is_alone: bool
    cpu_ns: int = 0
    memory: int | None = None
    has_own_peak: bool = False
    read: int | None = None
    written: int | None = None


class ProcessMeter:
    """Measures functions of a process that executes nothing else; one instance a process."""

    def __init__(self) -> None:
        self._files = kernel.OpenFiles()
        self._lock = threading.Lock()
        self._inside = 0
        self._turn = 0

    def begin(self) -> _Begun:
        """A function is about to be called; :meth:`end` takes what this returns."""
        with self._lock:
            self._inside += 1
            self._turn += 1
            turn, is_alone = self._turn, self._inside == 1
        if not is_alone:
            return _Begun(turn, False)
        files = self._files
        has_own_peak = kernel.forget_peak(files)
        memory, disk = kernel.resident(files), kernel.disk_bytes(files)
        return _Begun(turn, True, time.process_time_ns(), memory, has_own_peak, *disk)

    def end(self, begun: _Begun) -> Usage | None:
        """Return what it used; ``None`` if others executed meanwhile."""
        cpu_ns = time.process_time_ns()
        with self._lock:
            self._inside -= 1
            is_alone = begun.is_alone and self._turn == begun.turn
        if not is_alone:
            return None
        files = self._files
        memory = kernel.resident(files)
        read, written = kernel.disk_bytes(files)
        return (
            (cpu_ns - begun.cpu_ns) // 1000,
            kernel.peak(files) if begun.has_own_peak else None,
            _more(memory, begun.memory),
            _more(read, begun.read),
            _more(written, begun.written),
        )


def _more(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


process_meter: Final = ProcessMeter()
