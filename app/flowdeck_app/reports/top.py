"""What goes on now, as text: each live run with what its processes use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck_app.drawing import amounts, states, times
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.views.run_header import estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.usage import SampleRecord

#: A process that has said nothing for so long is not counted: its worker has nothing to do, or went.
_STALE_US = 15_000_000
_MOST = 200
_COLUMNS = (
    TextColumn("Run", right=True),
    TextColumn("Name", least=12, middle=True),
    TextColumn("Flow", least=10, middle=True),
    TextColumn("State", least=9),
    TextColumn("Time", right=True),
    TextColumn("Left", right=True),
    TextColumn("Tasks", right=True),
    TextColumn("CPU", right=True),
    TextColumn("Memory", right=True),
    TextColumn("Workers", right=True),
    TextColumn("Runner", least=4),
)


@dataclass(frozen=True, slots=True)
class RunningNow:
    """A run that goes on.

    Attributes:
        run: it.
        left: seconds until its end, as far as that can be guessed.
        now: the last sample of each of its processes that has said something lately.
    """

    run: FlowRunRecord
    left: float | None
    now: tuple[SampleRecord, ...]

    @property
    def cpu(self) -> float | None:
        """Percent of one processor, of all its processes."""
        return sum(sample.cpu for sample in self.now) if self.now else None

    @property
    def memory(self) -> int | None:
        """Bytes, of all its processes."""
        return sum(sample.memory for sample in self.now) if self.now else None

    @property
    def workers(self) -> int:
        """How many of them are workers."""
        return sum(bool(sample.worker) for sample in self.now)

    def as_json(self) -> dict[str, Any]:
        """Return the line as JSON."""
        run = self.run
        return {
            "flow_run": run.id,
            "name": run.name,
            "flow": run.flow,
            "state": run.state,
            "runner": run.runner,
            "pid": run.pid,
            "host": run.host,
            "ended_tasks": states.ended_tasks(run.counts),
            "tasks": run.n_tasks,
            "seconds_left": self.left,
            "cpu_percent": self.cpu,
            "memory": self.memory,
            "workers": [
                {"worker": one.worker, "cpu_percent": one.cpu, "memory": one.memory}
                for one in self.now
                if one.worker
            ],
        }


def live_runs(reader: Reader, now_us: int) -> list[RunningNow]:
    """Return what goes on now, newest first; subflow runs belong to the run that called them."""
    return [
        RunningNow(run, _left(reader, run, now_us), lately(reader.last_samples(run.id), now_us))
        for run in reader.runs("state:live", limit=_MOST, roots=True)
    ]


def lately(samples: Sequence[SampleRecord], now_us: int) -> tuple[SampleRecord, ...]:
    """Return the samples that still say something of now."""
    return tuple(sample for sample in samples if now_us - sample.us < _STALE_US)


def _left(reader: Reader, run: FlowRunRecord, now_us: int) -> float | None:
    if run.started_us is None:
        return None
    elapsed = times.between(run.started_us, None, now_us)
    flow = reader.flow_of(run)
    points = () if flow is None else flow.history
    own, partly = reader.progress(run.id), reader.done_partly(run.id)
    found = estimate(points, run, elapsed, own, partly)
    return None if found is None or elapsed is None else max(0.0, found.seconds - elapsed)


def top(runs: Sequence[RunningNow], look: Look) -> list[str]:
    """Return a heading and one line for each run."""
    if not runs:
        return ["No flow run goes on."]
    rows: list[Row] = [
        [
            str(one.run.id),
            (one.run.name, "bold"),
            one.run.flow,
            states.name_cell(one.run.code, one.run.named, look),
            look.duration_of(one.run),
            times.duration(one.left, look.dash),
            f"{states.ended_tasks(one.run.counts)}/{one.run.n_tasks}",
            look.dash if one.cpu is None else f"{one.cpu:.0f}%",
            amounts.size(one.memory, look.dash),
            str(one.workers) if one.workers else look.dash,
            one.run.runner or look.dash,
        ]
        for one in runs
    ]
    return table(_COLUMNS, rows, look)
