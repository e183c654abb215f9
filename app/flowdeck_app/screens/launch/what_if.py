"""The launch dialog's "what-if": how long the run would take on each runner, from earlier runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowdeck_app.drawing.times import duration
from flowdeck_app.reports.what_if import because
from flowdeck_app.views.what_if import expected, read_plans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck.launch.inspection import Inspection
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.screens.launch.specs import Field
    from flowdeck_app.views.what_if import Expected
    from flowdeck_store.explain.what_if import RunPlan
    from flowdeck_store.read.reader import Reader

#: Task runs that are played again for one answer, all runs together: nobody waits for a form.
_MOST_CALLS = 10_000


def plans_for(reader: Reader, found: Inspection) -> list[RunPlan]:
    """Return the last runs of a flow ready to be played again; runs on a lane's thread."""
    file = (found.source or "").rpartition(":")[0]
    named = [flow for flow in reader.flows() if flow.name == found.name]
    flow = next((f for f in named if f.key.rpartition(":")[0] == file), None)
    flow = flow or next(iter(named), None)
    plans: list[RunPlan] = []
    calls = 0
    for plan in [] if flow is None else read_plans(reader, flow):
        calls += len(plan.calls)
        if plans and calls > _MOST_CALLS:
            break
        plans.append(plan)
    return plans


def on_each(plans: Sequence[RunPlan], runners: Sequence[str]) -> dict[str, Expected]:
    """Return what each runner would take with its own number of workers."""
    processors = os.cpu_count() or 1
    found = {name: expected(plans, name, None, processors) for name in runners}
    return {name: one for name, one in found.items() if one is not None}


def with_options(
    plans: Sequence[RunPlan], runner: str, fields: Sequence[Field], texts: Mapping[str, str]
) -> Expected | None:
    """Return what a runner would take with the options that are filled in."""
    processors = os.cpu_count() or 1
    return expected(plans, runner, workers_in(runner, fields, texts, processors), processors)


def workers_in(
    runner: str, fields: Sequence[Field], texts: Mapping[str, str], processors: int
) -> int | None:
    """Return how many task runs go on at the same time with these options; ``None``: not said."""

    def number(name: str) -> int | None:
        spec = next((field for field in fields if field.name == name), None)
        text = "" if spec is None else texts.get(name, spec.default).strip()
        return int(text) if text.isdecimal() and int(text) else None

    if runner == "ray":
        return number("init_kwargs.num_cpus")
    if runner != "dask":
        return number("max_workers")
    workers, threads = (
        number("cluster_kwargs.n_workers"),
        number("cluster_kwargs.threads_per_worker"),
    )
    workers = number("adapt_kwargs.maximum") or workers
    if workers is None:
        return None if threads is None else max(1, processors // threads) * threads
    return workers * (threads or max(1, processors // workers))


def said(one: Expected, look: Look) -> str:
    """Return an expectation as one line."""
    text = f"Expected {duration(one.seconds)}"
    if one.high - one.low > 0.1 * one.seconds:
        text += f" ({duration(one.low)} to {duration(one.high)})"
    text += f", {one.sure}: {because(one)}"
    dot = f" {look.symbols.dot} "
    return dot.join([text, *one.notes[:1]])
