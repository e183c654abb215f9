"""``flowdeck forecast``: how long a flow would take on each task runner, before it is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from flowdeck_app.views.what_if import Expected
    from flowdeck_store.explain.what_if import RunPlan
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRecord, FlowRunRecord


@click.command("forecast")
@click.argument("what", metavar="FLOW|RUN")
@click.option(
    "--runner", "runners", multiple=True, metavar="R",
    help="Only this one; may be given several times. Default: each.",
)  # fmt: skip
@click.option(
    "--workers", multiple=True, type=click.IntRange(min=1), metavar="N",
    help="Task runs at the same time; may be given several times.",
)  # fmt: skip
@json_option
def command(what: str, runners: tuple[str, ...], workers: tuple[int, ...], as_json: bool) -> None:
    """Say how long a flow would take on each task runner, from its completed runs in the record.

    FLOW is a flow's name or target (the last five runs on each runner are looked at), RUN one run.
    Runs on the same runner say how long it takes there. For other runners, and for another number
    of workers, runs are played again: the same calls with the same durations, a task begins when
    what it needs is there and a worker is free.

    \b
    Examples:
      flowdeck forecast nightly
      flowdeck forecast flows/etl.py:etl --runner dask --workers 4 --workers 16
    """  # fmt: skip
    from flowdeck_app.reports.what_if import forecast_lines
    from flowdeck_app.views.what_if import expected, least_seconds

    chosen = _runners(runners)
    with reading() as reader:
        name, plans = _plans(reader, what)
    processors = os.cpu_count() or 1
    rows: list[Expected] = []
    for runner in chosen:
        widths = (None,) if not workers or runner == "sequential" else workers
        found = (expected(plans, runner, width, processors) for width in widths)
        rows += [row for row in found if row is not None]
    if as_json:
        echo_json({"flow": name, **row.as_json()} for row in rows)
        return
    echo(forecast_lines(name, plans, rows, least_seconds(plans), stream_look()))


def _runners(asked: tuple[str, ...]) -> tuple[str, ...]:
    """Return the runners that were asked for, or all.

    Raises:
        Trouble: there is no such runner.
    """
    from flowdeck.task_runners import runner_names
    from flowdeck_app.cli.words import hint_for

    for name in asked:
        if name not in runner_names():
            raise Trouble(f"there is no task runner {name!r}.", hint_for(name, runner_names()))
    return asked or runner_names()


def _run(reader: Reader, what: str) -> FlowRunRecord:
    """Return a run.

    Raises:
        Trouble: WHAT is neither a flow that ran nor a run.
    """
    from flowdeck_store.errors import NotFound

    try:
        return reader.resolve_run(what)
    except NotFound as error:
        hint = "no flow of that name has run, either: `flowdeck runs` lists what has."
        raise Trouble(str(error), hint) from error


def _plans(reader: Reader, what: str) -> tuple[str, list[RunPlan]]:
    """Return a flow's name and its runs.

    Raises:
        Trouble: nothing is recorded that could be played again.
    """
    from flowdeck_app.views.what_if import read_plan, read_plans, says_something

    flow = reader.flow(what) or _by_target(reader, what)
    if flow is None:
        run = _run(reader, what)
        if run.ended_us is None or not says_something(run):
            raise Trouble(
                f"run {run.name} cannot be played again.",
                "it goes on, or its task runs were cached or too many; name another one.",
            )
        return run.flow, [read_plan(reader, run)]
    plans = read_plans(reader, flow)
    if not plans:
        raise Trouble(
            f"flow {flow.name!r} has no completed run to go by.",
            f"run it once: `flowdeck run {what}`; a small one says something, too.",
        )
    return flow.name, plans


def _by_target(reader: Reader, what: str) -> FlowRecord | None:
    """Return the flow that a target names, as far as its key tells; ``None`` for anything else."""
    place, colon, name = what.rpartition(":")
    if not colon:
        place, name = what, ""
    if not place.endswith(".py"):
        return None
    path = str(Path(place).resolve())
    found = []
    for flow in reader.flows():
        file, _, function = flow.key.rpartition(":")
        if file == path and name in {"", function, flow.name}:
            found.append(flow)
    return found[0] if len(found) == 1 else None
