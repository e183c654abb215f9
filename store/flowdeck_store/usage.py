"""What runs use: processor time, memory, bytes read and written. As events, and as recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_store import events as ev

if TYPE_CHECKING:
    from flowdeck_store.events import Event


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What a task run used, all attempts together; ``None``: nobody can tell.

    ``cpu_us`` is the processor time of its thread, or of its process where it was alone in that.
    Memory and bytes are those of a worker process that executed nothing else meanwhile.
    """

    cpu_us: int | None
    peak: int | None  # bytes
    growth: int | None  # bytes that its process had more afterwards
    read: int | None  # bytes read from disks
    written: int | None  # bytes written to disks

    @property
    def cpu_seconds(self) -> float | None:
        """Seconds of processor time."""
        return None if self.cpu_us is None else self.cpu_us / 1e6


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """What one process of a run used at a moment; ``worker`` is "" for the flow's own."""

    worker: str
    us: int
    cpu: float  # percent of one processor
    memory: int  # bytes
    read: int | None
    written: int | None
    threads: int | None
    gpu: float | None  # percent
    gpu_memory: int | None  # bytes
    stored: int | None = None  # bytes of values that it keeps for others
    stored_count: int | None = None  # of these values


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """What one worker of a run does; ``worker`` is "" for the flow's own process."""

    worker: str
    ended: int  # task runs
    running: int
    first: int | None  # packed id of the first of those that it runs


def usage_event(
    uid: str,
    no: int,
    cpu_us: int | None,
    peak: int | None,
    growth: int | None,
    read: int | None,
    written: int | None,
) -> Event:
    """What one attempt of a task run used; those of all attempts are added up.

    Args:
        uid: of the flow run.
        no: of the task run.
        cpu_us: processor time, microseconds.
        peak: the most memory of its process meanwhile, bytes.
        growth: how much more memory its process had afterwards, bytes.
        read: bytes read from disks.
        written: bytes written to disks.
    """
    return (ev.USAGE, uid, no, cpu_us, peak, growth, read, written)


def sample_event(
    uid: str,
    us: int,
    worker: str,
    *,
    cpu: float,
    memory: int,
    read: int | None = None,
    written: int | None = None,
    threads: int | None = None,
    gpu: float | None = None,
    gpu_memory: int | None = None,
    width: int | None = None,
    stored: int | None = None,
    stored_count: int | None = None,
) -> Event:
    """What a process that executes a flow run uses.

    Args:
        uid: of the flow run.
        us: when.
        worker: which of its processes, ``""`` for the flow's own.
        cpu: percent of one processor, its child processes included, since the sample before.
        memory: resident bytes, its child processes included.
        read: bytes that it has read from disks so far.
        written: bytes that it has written so far.
        threads: how many it has.
        gpu: percent of the processors of its GPUs.
        gpu_memory: bytes that it has there.
        width: from now on one sample in so many microseconds is kept, also of those before.
        stored: bytes of the values that it keeps for other task runs and the flow.
        stored_count: how many values these are.
    """
    return (
        ev.SAMPLE, uid, 0, us, worker, cpu, memory, read, written, threads, gpu, gpu_memory, width,
        stored, stored_count,
    )  # fmt: skip
