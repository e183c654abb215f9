"""What the kernel says of this process and its child processes, from ``/proc``.

Not by psutil: a read of an open file of ``/proc/self`` takes 1 to 7 µs, a hundredth of what the same
number costs there, and that decides whether each task of a worker can be measured. Where there is no
``/proc``, as on macOS, psutil is asked all the same; where not all of it, less is known, and nothing fails.
"""

from __future__ import annotations

import os
import time
from typing import Final, NamedTuple

from flowdeck_store.file import without_proc

_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICK_NS: Final = 10**9 // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
_SELF: Final = "/proc/self/"
#: Of the fields of ``stat`` after the name: ticks in user and kernel mode, of itself and of its ended
#: children; threads; resident pages.
_UTIME, _CUTIME, _THREADS, _RESIDENT = 11, 13, 17, 21
#: How deep children of children are looked for, and how many in all.
_DEEPEST: Final = 8
_MOST_CHILDREN: Final = 200


class Used(NamedTuple):
    """What a process, with its child processes, has used so far and has now.

    ``cpu_ns`` is processor time, ``memory`` resident bytes; ``read`` and ``written`` are bytes from
    and to disks, without children; ``None``: the kernel does not say.
    """

    cpu_ns: int
    memory: int
    read: int | None
    written: int | None
    threads: int


class OpenFiles:
    """Files of ``/proc/self`` that stay open; after a fork the child opens its own."""

    def __init__(self) -> None:
        self._pid = 0
        self._files: dict[str, int | None] = {}

    def read(self, name: str, most: int = 4096) -> bytes:
        """Return what a file says now; nothing if it cannot be read."""
        file = self._file(name, os.O_RDONLY)
        if file is None:
            return b""
        try:
            return os.pread(file, most, 0)
        except OSError:
            return b""

    def write(self, name: str, text: bytes) -> bool:
        """Write to a file; ``False`` if that is not allowed."""
        file = self._file(name, os.O_WRONLY)
        if file is None:
            return False
        try:
            os.pwrite(file, text, 0)
        except OSError:
            return False
        return True

    def _file(self, name: str, how: int) -> int | None:
        if self._pid != os.getpid():
            for file in self._files.values():  # of the parent, which keeps its own
                if file is not None:
                    os.close(file)
            self._pid, self._files = os.getpid(), {}
        if name not in self._files:
            try:
                self._files[name] = os.open(_SELF + name, how | os.O_CLOEXEC)
            except OSError:
                self._files[name] = None
        return self._files[name]


def resident(files: OpenFiles) -> int | None:
    """Return the bytes of memory that this process has now."""
    fields = files.read("statm", 200).split()
    if len(fields) > 1:
        return int(fields[1]) * _PAGE
    return without_proc.resident() if without_proc.is_needed() else None


def forget_peak(files: OpenFiles) -> bool:
    """Have the kernel measure the most memory of this process from now on; ``False``: it cannot."""
    return files.write("clear_refs", b"5")


def peak(files: OpenFiles) -> int | None:
    """Return the most bytes of memory that this process had since :func:`forget_peak`."""
    return _number(files.read("status"), b"VmHWM:", 1024)


def disk_bytes(files: OpenFiles) -> tuple[int | None, int | None]:
    """Return the bytes that this process has read from disks and written to them so far."""
    text = files.read("io", 500)
    return _number(text, b"\nread_bytes:"), _number(text, b"\nwrite_bytes:")


def moment(files: OpenFiles, *, children: bool) -> Used | None:
    """Return what this process uses.

    Args:
        files: of this process.
        children: with what its child processes use.
    """
    fields = _stat(files.read("stat", 1000))
    if fields is None:
        known = without_proc.spent(children=children) if without_proc.is_needed() else None
        return (
            None if known is None else Used(known.cpu_ns, known.memory, None, None, known.threads)
        )
    cpu_ns, memory = time.process_time_ns(), int(fields[_RESIDENT]) * _PAGE
    if children:
        of_children = _used_by_children()
        cpu_ns += of_children[0]
        memory += of_children[1]
    read, written = disk_bytes(files)
    return Used(cpu_ns, memory, read, written, int(fields[_THREADS]))


def processor_time(*, children: bool) -> int:
    """Return :attr:`Used.cpu_ns` alone, which is had for a fifth of the time.

    Args:
        children: with what its child processes use.
    """
    return time.process_time_ns() + (_used_by_children()[0] if children else 0)


def _used_by_children() -> tuple[int, int]:
    """Return processor time, with that of the children that have ended, and resident bytes."""
    ended = os.times()
    cpu_ns, memory = round((ended.children_user + ended.children_system) * 1e9), 0
    for child in _children_of(os.getpid()) if _has_children() else ():
        found = _stat(_text(f"/proc/{child}/stat"))
        if found is not None:
            cpu_ns += sum(map(int, found[_UTIME : _CUTIME + 2])) * _TICK_NS
            memory += int(found[_RESIDENT]) * _PAGE
    return cpu_ns, memory


def _has_children() -> bool:
    """Say whether this process may have any: a look at the lists of all its threads takes a tenth of
    a millisecond, and workers look for each task."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    except (OSError, AttributeError):  # the system has no such call
        pass
    return True


def _children_of(pid: int) -> list[int]:
    """Return the processes below one."""
    found: list[int] = []
    level = [pid]
    for _ in range(_DEEPEST):
        level = [child for parent in level for child in _started_by(parent)]
        found += level
        if not level or len(found) > _MOST_CHILDREN:
            break
    return found[:_MOST_CHILDREN]


def _started_by(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    texts = [_text(f"/proc/{pid}/task/{thread}/children") for thread in threads]
    return [int(child) for text in texts for child in text.split()]


def _text(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(65_536)
    except OSError:
        return b""


def _stat(text: bytes) -> list[bytes] | None:
    # The name may have spaces and brackets of its own: the last one ends it.
    fields = text.rpartition(b")")[2].split()
    return fields if len(fields) > _RESIDENT else None


def _number(text: bytes, label: bytes, unit: int = 1) -> int | None:
    _, found, rest = text.partition(label)
    digits = rest.split(None, 1)[0] if found and rest.strip() else b""
    return int(digits) * unit if digits.isdigit() else None
