"""How long a flow would take on each task runner, from runs that are recorded. Pure, but for the reading.

A run on the same runner says it best: it includes what the runner costs. For another number of
workers, or another runner, recorded runs are played again
(:mod:`flowdeck_store.explain.what_if`), and the answer says how sure that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.views.run_header import sureness
from flowdeck_store.explain.what_if import INLINE, plan_of, played
from flowdeck_store.read.records import quantile
from flowdeck_store.states import BUCKETS, COMPLETED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowdeck_store.explain.what_if import RunPlan
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRecord, FlowRunRecord

#: Runs of each runner that are looked at, the newest.
_RUNS: Final = 5
#: Task runs of a run that is played again, at most: more take too long for an answer.
_MOST_CALLS: Final = 20_000
#: Runners with one worker for each processor unless something else is said.
_A_PROCESSOR_EACH: Final = frozenset({"process", "dask", "ray"})
#: From this share of processor time on, a flow computes more than it waits.
_COMPUTES: Final = 0.5
_WORDS: Final = ("a guess", "roughly", "likely")


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a flow probably takes on a runner.

    Attributes:
        runner: its name.
        workers: task runs at the same time; ``None``: as many as there are.
        seconds, low, high: the median of what the runs give, and the bounds of it.
        sure: ``likely``, ``roughly`` or ``a guess``.
        runs: how many runs it is from.
        on_it: whether they ran on this runner.
        notes: what it does not take into account, as sentences.
    """

    runner: str
    workers: int | None
    seconds: float
    low: float
    high: float
    sure: str
    runs: int
    on_it: bool
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "runner": self.runner,
            "workers": self.workers,
            "seconds": self.seconds,
            "low_seconds": self.low,
            "high_seconds": self.high,
            "sureness": self.sure,
            "runs": self.runs,
            "recorded_on_it": self.on_it,
            "notes": list(self.notes),
        }


def read_plans(reader: Reader, flow: FlowRecord) -> list[RunPlan]:
    """Return the last completed runs of a flow ready to be played again, the newest first."""
    newest = [p.run_id for p in reversed(flow.history) if p.code == COMPLETED and p.seconds]
    of_runner: dict[str | None, int] = {}
    plans = []
    by_id = {run.id: run for run in reader.runs_by_ids(newest)}
    for run in (by_id[run_id] for run_id in newest if run_id in by_id):
        seen = of_runner.get(run.runner, 0)
        if seen < _RUNS and says_something(run):
            of_runner[run.runner] = seen + 1
            plans.append(read_plan(reader, run))
    return plans


def says_something(run: FlowRunRecord) -> bool:
    """Say whether a run's tasks really ran, and are few enough to be played again."""
    cached = run.counts[BUCKETS.index("cached")]
    return run.started_us is not None and cached * 5 <= run.n_tasks <= _MOST_CALLS


def read_plan(reader: Reader, run: FlowRunRecord) -> RunPlan:
    """Return one run, which has ended, ready to be played again."""
    return plan_of(
        reader.task_spans(run.id),
        reader.upstream_numbers(run.id),
        run.started_us or run.created_us,
        run.ended_us or run.state_us,
        run_id=run.id,
        runner=run.runner,
        cpu_us=reader.cpu_us(run.id),
    )


def expected(
    plans: Sequence[RunPlan], runner: str, workers: int | None, processors: int
) -> Expected | None:
    """Return how long a flow probably takes; ``None`` if nothing is recorded.

    Args:
        plans: its runs.
        runner: on which runner.
        workers: with how many workers; ``None``: as many as that has of itself.
        processors: of this machine.
    """
    own = [plan for plan in plans if plan.runner == runner]
    others = [plan for plan in plans if plan.runner != INLINE] or list(plans)
    used = own or others
    if not used:
        return None
    if runner == INLINE:
        width: int | None = 1
    elif workers is not None:
        width = workers
    else:
        width = processors if runner in _A_PROCESSOR_EACH else None
    if own and (workers is None or runner == INLINE):
        seconds = [plan.wall_us / 1e6 for plan in own]
        width = max(plan.peak for plan in own) if runner != INLINE else 1
    else:
        seconds = [_seconds(plan, runner, width, processors, own=bool(own)) for plan in used]
    middle = quantile(seconds, 0.5) or 0.0
    notes = tuple(_notes(used, runner, own=bool(own)))
    best = 2 if own and workers is None else 1 if own or runner in {INLINE, "concurrent"} else 0
    best = (
        0 if not own and any(plan.runner == INLINE for plan in used) and runner != INLINE else best
    )
    sure = _WORDS[min(best, _WORDS.index(sureness(seconds, middle)))]
    return Expected(
        runner, width, middle, min(seconds), max(seconds), sure, len(used), bool(own), notes
    )


def _seconds(plan: RunPlan, runner: str, width: int | None, processors: int, *, own: bool) -> float:
    took = played(plan, width, inline=runner == INLINE)
    if own:  # what the runner costs beside the tasks, as it was then
        return (took + max(0, plan.wall_us - played(plan, max(1, plan.peak)))) / 1e6
    if plan.cpu_us is not None and runner != INLINE:
        at_once = 1 if runner == "concurrent" else processors if runner == "process" else width
        if at_once and (runner != "concurrent" or _computes(plan)):
            took = max(took, plan.cpu_us // at_once)
    return took / 1e6


def _computes(plan: RunPlan) -> bool:
    return plan.cpu_us is not None and plan.cpu_us > plan.busy_us * _COMPUTES


def _notes(plans: Sequence[RunPlan], runner: str, *, own: bool) -> Iterable[str]:
    if own:
        return
    names = sorted({plan.runner or "unknown" for plan in plans})
    yield f"never ran there, the durations are those on {' and '.join(names)}"
    if runner == "concurrent" and any(map(_computes, plans)):
        yield "it computes, and threads compute one at a time unless libraries such as numpy do"
    elif runner in _A_PROCESSOR_EACH:
        yield f"without the start of {_STARTS[runner]} and the transport of values"
    if runner != INLINE and all(plan.runner == INLINE for plan in plans):
        yield "as if the flow's code waited for nothing between its calls: it may take longer"


_STARTS: Final = {"process": "its processes", "dask": "a cluster", "ray": "Ray"}


def least_seconds(plans: Sequence[RunPlan]) -> float | None:
    """Return what the flow takes if nothing ever waits for a worker: no runner makes it shorter."""
    found = [played(plan, None) / 1e6 for plan in plans if plan.runner != INLINE]
    return quantile(found, 0.5)
