"""What the screen of a run reads of the record (on a lane's thread), and its breadcrumb. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.times import moment
from flowdeck_app.views.run_header import slowest
from flowdeck_store.explain.stall import stall_of
from flowdeck_store.ids import run_of

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.explain.stall import StallRecord
    from flowdeck_store.questions import Question
    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, ProgressRecord, RunPoint
    from flowdeck_store.read.summaries import TaskGroup

#: Parents that the breadcrumb names.
MOST_PARENTS: Final = 8


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run, the runs that it is a subflow of (outermost first), why it ended as it did, while it
    goes on, why nothing does, whether it called subflows, and what it asks."""

    run: FlowRunRecord
    parents: tuple[FlowRunRecord, ...]
    cause: Cause | None
    stall: StallRecord | None = None
    subflows: bool = False
    asks: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The tasks of a run by name, and what its flow usually takes.

    Attributes:
        groups: one a task.
        slowest: number, name and seconds of the task run that took longest.
        points: the last runs of the flow.
        usual: median seconds of its completed runs.
        own: how far the flow function says it is.
        partly: sum of the shares that its running tasks say they have done.
    """

    groups: tuple[TaskGroup, ...] = ()
    slowest: tuple[int, str, float] | None = None
    points: tuple[RunPoint, ...] = ()
    usual: float | None = None
    own: ProgressRecord | None = None
    partly: float = 0.0


def read_run(reader: Reader, run_id: int) -> RunFacts | None:
    """Return a run, ``None`` if it is not in the record."""
    run = reader.run(run_id)
    if run is None:
        return None
    parents: list[FlowRunRecord] = []
    child: FlowRunRecord | None = run
    while child is not None and child.parent_task is not None and len(parents) < MOST_PARENTS:
        child = reader.run(run_of(child.parent_task))
        if child is not None:
            parents.insert(0, child)
    subflows = reader.has_subflows(run_id)
    asks = tuple(reader.open_questions(run.id)) if run.asks else ()
    stall = stall_of(reader, run)
    return RunFacts(run, tuple(parents), reader.cause(run), stall, subflows, asks)


def read_figures(reader: Reader, run: FlowRunRecord) -> RunFigures:
    """Return the groups and figures of a run (130 ms with 100,000 task runs)."""
    groups = tuple(reader.task_groups(run.id))
    found = slowest(groups)
    named = None
    if found is not None and found.longest_no is not None and found.longest is not None:
        task = reader.task(run.id, found.longest_no)
        named = (found.longest_no, task.label if task else found.task, found.longest)
    flow = reader.flow_of(run)
    own, partly = reader.progress(run.id), reader.done_partly(run.id)
    if flow is None:
        return RunFigures(groups, named, own=own, partly=partly)
    return RunFigures(groups, named, flow.history, flow.p50_seconds, own, partly)


def trail_of(known: RunFacts | None, run_id: int) -> tuple[str, ...]:
    """Return Runs, the flow, the parents of a subflow run, and the run."""
    if known is None:
        return ("Runs", f"#{run_id}")
    flow = known.parents[0].flow if known.parents else known.run.flow
    return ("Runs", flow, *(parent.name for parent in known.parents), known.run.name)


def origin_text(run: FlowRunRecord, look: Look) -> str:
    """Return the runner, the process while there is one, and when the run began."""
    parts = [clean(run.runner or "", 40)]
    if not run.is_final and run.pid is not None:
        parts.append(f"pid {run.pid}")
    parts.append(moment(run.started_us or run.created_us, look.now_us, look.times, look.zone))
    return f" {look.symbols.dot} ".join(part for part in parts if part)
