"""The workers of a run: what each uses, runs now and has ended. Pure, but for what it is read by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing.amounts import number, size
from flowdeck_app.drawing.cells import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, LogRecord
    from flowdeck_store.usage import SampleRecord, WorkerLoad

#: What the row of the flow's own process is called.
OWN: Final = "flow's process"
#: A worker that has said nothing for so long: it has nothing to do, or went.
_STALE_US: Final = 15_000_000
#: Runners say the address of their cluster's pages when they start, among the first lines.
_FIRST_LINES: Final = 200
_RUNNER_LOGGERS: Final = "flowdeck.task_runner."
_ADDRESS: Final = re.compile(
    r"^The (?:Dask dashboard|Ray UI) is available at (https?://[^\s\x00-\x1f]+)$"
)


@dataclass(frozen=True, slots=True)
class RunWorker:
    """A worker of a run, or the flow's own process.

    Attributes:
        name: as task runs name it; ``""``: the flow's own process.
        samples: what it used, oldest first.
        running: how many task runs it runs now, and in ``first`` the name of one of them.
        ended: how many it has ended.
        live: whether it says something of now; of others, means and peaks are told.
    """

    name: str
    samples: tuple[SampleRecord, ...]
    running: int
    first: str
    ended: int
    live: bool

    @property
    def shown(self) -> str:
        """Its name, for people."""
        return self.name or OWN

    @property
    def mean_cpu(self) -> float | None:
        """Percent of one processor, of all samples."""
        found = self.samples
        return sum(one.cpu for one in found) / len(found) if found else None

    @property
    def peak(self) -> int | None:
        """The most memory, bytes."""
        return max((one.memory for one in self.samples), default=None)

    @property
    def cpu(self) -> float | None:
        """Percent of one processor: now, or the mean of what is over."""
        return self.samples[-1].cpu if self.live else self.mean_cpu

    @property
    def memory(self) -> int | None:
        """Bytes: now, or the most of what is over."""
        return self.samples[-1].memory if self.live else self.peak

    @property
    def peak_stored(self) -> int | None:
        """The most bytes of values that it kept; ``None``: nobody can tell."""
        return max((one.stored for one in self.samples if one.stored is not None), default=None)

    @property
    def stored(self) -> tuple[int | None, int | None]:
        """Bytes and number of the values that it keeps: now, or the most of what is over."""
        if self.live:
            return self.samples[-1].stored, self.samples[-1].stored_count
        counts = [one.stored_count for one in self.samples if one.stored_count is not None]
        return self.peak_stored, max(counts, default=None)

    def as_json(self, dashboard: str | None) -> dict[str, Any]:
        """Return it as JSON."""
        last = self.samples[-1] if self.live else None
        return {
            "worker": self.name or None,
            "cpu_percent": None if last is None else last.cpu,
            "memory": None if last is None else last.memory,
            "mean_cpu_percent": self.mean_cpu,
            "peak_memory": self.peak,
            "stored": None if last is None else last.stored,
            "stored_values": None if last is None else last.stored_count,
            "peak_stored": self.peak_stored,
            "running": self.running,
            "ended_tasks": self.ended,
            "dashboard": dashboard,
        }


def workers_of(
    run: FlowRunRecord,
    loads: Sequence[WorkerLoad],
    samples: Sequence[SampleRecord],
    names: dict[int, str],
    now_us: int,
) -> list[RunWorker]:
    """Return the flow's own process, then the workers by name.

    Args:
        run: the flow run.
        loads: what its workers have done.
        samples: what its processes used, by time.
        names: of task runs, by packed id.
        now_us: the time.
    """
    taken: dict[str, list[SampleRecord]] = {}
    for sample in samples:
        taken.setdefault(sample.worker, []).append(sample)
    by_name = {load.worker: load for load in loads}
    found: list[RunWorker] = []
    for name in sorted(taken.keys() | by_name.keys()):
        load, used = by_name.get(name), tuple(taken.get(name, ()))
        live = not run.is_final and bool(used) and now_us - used[-1].us < _STALE_US
        if load is None:
            found.append(RunWorker(name, used, 0, "", 0, live))
            continue
        first = "" if load.first is None else names.get(load.first, "")
        running = 0 if run.is_final else load.running
        found.append(RunWorker(name, used, running, first, load.ended, live))
    return found


def read_workers(reader: Reader, run_id: int, now_us: int) -> list[RunWorker]:
    """Return the workers of a run."""
    run = reader.run(run_id)
    if run is None:
        return []
    loads = reader.worker_loads(run_id)
    firsts = [load.first for load in loads if load.first is not None]
    names = {task.id: task.label for task in reader.tasks_by_ids(firsts)}
    return workers_of(run, loads, reader.samples(run_id), names, now_us)


def read_dashboard(reader: Reader, run_id: int) -> str | None:
    """Return the address of the pages of the cluster that a run used, as its runner told it."""
    return address_in(reader.logs(run_id, 0, limit=_FIRST_LINES))


def address_in(lines: Sequence[LogRecord]) -> str | None:
    """Return the address that a task runner, and nobody else, told in these lines."""
    for line in lines:
        if line.logger.startswith(_RUNNER_LOGGERS):
            found = _ADDRESS.match(line.message)
            if found:
                return found[1] if found[1].isprintable() else None
    return None


def trend(values: Sequence[float], look: Look, cells: int) -> str:
    """Return values as bars that begin at 0, the means of neighbours where there are too many."""
    if not values or cells < 1:
        return ""
    n = min(cells, len(values))
    edges = [place * len(values) // n for place in range(n + 1)]
    parts = [values[edges[i] : edges[i + 1]] for i in range(n)]
    means = [sum(part) / len(part) for part in parts]
    most = max(means)
    levels = look.symbols.levels
    top = len(levels) - 1
    return "".join(levels[round(mean / most * top) if most > 0 else 0] for mean in means)


def kept(worker: RunWorker, look: Look) -> str:
    """Return what it keeps: ``1.2 MB (14)``, bytes and the number of values; a dash: unknown."""
    stored, count = worker.stored
    if stored is None or count is None:
        return look.dash
    return f"{size(stored)} ({number(count, look.symbols.group)})"


def doing(worker: RunWorker, look: Look) -> str:
    """Return what it runs now: ``fetch-3 +2``."""
    if not worker.running:
        return look.dash
    more = f" +{worker.running - 1}" if worker.running > 1 else ""
    return clean(worker.first, 200, newline=" ", ascii_only=look.symbols.ascii) + more
