"""Samples of what this process uses, for the flow runs that it executes.

One thread a process, there only while something is watched, reads some files of the kernel's once a
second: 0.2 ms, a fiftieth of a percent of a core. Each run is thinned by itself: at 600 samples every
second one goes and only every second tick adds one, so that a run of a week has no more rows than one
of ten minutes, and the first minutes of a run are seen closely while it is young.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from flowdeck.metrics import gpus, kernel
from flowdeck_store.events import now_us
from flowdeck_store.usage import sample_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck_store.events import Event

    Emit = Callable[[Event], None]
    #: Returns bytes and number of the values that the process keeps, if that can be told.
    Stored = Callable[[], tuple[int, int] | None]

#: Samples of one run and process, at most.
MOST: Final = 600
#: Runs that are remembered after they were last watched, for their pace.
_REMEMBERED: Final = 64
_LEAST_SECONDS: Final = 0.05


class SampledRun:
    """One run: who takes its samples, and how often that is now."""

    def __init__(
        self, worker: str, seconds: float, children: bool, stored: Stored | None = None
    ) -> None:
        self.worker = worker
        self.stored = stored
        self.seconds = max(seconds, _LEAST_SECONDS)
        self.children = children
        self.emits: list[Emit] = []
        self._every = 1  # ticks
        self._ticks = 0
        self._count = 0
        self._before: tuple[int, int] | None = None  # when, and the processor time until then

    def begin(self, cpu_ns: int) -> None:
        """Count the processor time of the next sample from now on."""
        self._before = time.monotonic_ns(), cpu_ns

    def sample(self, uid: str, now: kernel.Used) -> Event | None:
        """Return the event of a tick, if this one gives one."""
        self._ticks += 1
        if self._ticks % self._every:
            return None
        clock_ns = time.monotonic_ns()
        width = None
        if self._count >= MOST:
            self._count //= 2
            self._every *= 2
            width = int(self._every * self.seconds * 1e6)
        since, used = self._before or (clock_ns, now.cpu_ns)
        self._before = clock_ns, now.cpu_ns
        self._count += 1
        percent = 100 * max(0, now.cpu_ns - used) / max(1, clock_ns - since)
        share, on_gpus = gpus.used_by(os.getpid())
        kept = self.stored() if self.stored is not None else None
        size, count = (None, None) if kept is None else kept
        return sample_event(
            uid, now_us(), self.worker, cpu=round(percent, 1), memory=now.memory, read=now.read,
            written=now.written, threads=now.threads, gpu=share, gpu_memory=on_gpus, width=width,
            stored=size, stored_count=count,
        )  # fmt: skip


class Sampler:
    """One instance, :data:`sampler`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = kernel.OpenFiles()
        self._runs: dict[str, SampledRun] = {}
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    def watch(
        self, uid: str, emit: Emit, *, worker: str = "", seconds: float = 1.0,
        children: bool = True, stored: Stored | None = None,
    ) -> None:  # fmt: skip
        """Take samples for a flow run from now on.

        Args:
            uid: of the flow run.
            emit: takes its events.
            worker: the name of this process, ``""`` for the flow's own.
            seconds: between two samples, at first.
            children: whether what child processes use belongs to it.
            stored: tells what the process keeps.
        """
        with self._lock:
            found = self._runs.pop(uid, None) or SampledRun(worker, seconds, children, stored)
            self._runs[uid] = found
            if not found.emits:
                found.begin(kernel.processor_time(children=found.children))
            found.emits.append(emit)
            if len(self._runs) > _REMEMBERED:
                self._forget_one()
            if self._thread is None or self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(
                    target=self._main, name="flowdeck-metrics", daemon=True
                )
                self._thread.start()

    def unwatch(self, uid: str, emit: Emit) -> None:
        """Take no more samples by way of ``emit``."""
        with self._lock:
            found = self._runs.get(uid)
            if found is not None and emit in found.emits:
                found.emits.remove(emit)

    def _forget_one(self) -> None:
        idle = next((uid for uid, run in self._runs.items() if not run.emits), None)
        if idle is not None:
            del self._runs[idle]

    def _main(self) -> None:
        idle = 0
        while True:
            with self._lock:
                live = [run for run in self._runs.values() if run.emits]
                idle = 0 if live else idle + 1
                if idle > 2:
                    self._thread = None
                    return
            time.sleep(min((run.seconds for run in live), default=1.0))
            self.tick()

    def tick(self) -> None:
        """Take a sample for each run that is watched and whose turn it is."""
        moments: dict[bool, kernel.Used | None] = {}
        with self._lock:
            live = [(uid, run, run.emits[-1]) for uid, run in self._runs.items() if run.emits]
        for uid, run, emit in live:
            if run.children not in moments:
                moments[run.children] = kernel.moment(self._files, children=run.children)
            now = moments[run.children]
            event = None if now is None else run.sample(uid, now)
            if event is not None:
                emit(event)


sampler: Final = Sampler()
