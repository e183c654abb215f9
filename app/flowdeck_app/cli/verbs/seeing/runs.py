"""``flowdeck runs``: the record's flow runs, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.lists import paged, show_runs
from flowdeck_app.cli.options import QueryCommand, json_option
from flowdeck_app.cli.output import echo, say, stream_look
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

SHOWN = 20
_WIDE = 160  # cells where nothing limits them


@click.command("runs", cls=QueryCommand)
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0),
    help="How many runs at most; 0: all (default: 20; with --json: all).",
)  # fmt: skip
@click.option("--subflows", is_flag=True, help="Also the runs that other runs called.")
@click.option(
    "--by", type=click.Choice(["flow", "day"]),
    help="In groups, each below a heading (not with --json).",
)  # fmt: skip
@json_option
def command(
    query: tuple[str, ...], limit: int | None, subflows: bool, by: str | None, as_json: bool
) -> None:
    """List flow runs, newest first.

    QUERY filters: state:failed,crashed flow:etl* since:7d until:1d runner:dask tag:prod -tag:test
    duration:>5s, and words that names must contain.

    \b
    Example:
      flowdeck runs state:failed since:7d
    """
    from flowdeck_store.query.language import parse

    if by and as_json:
        raise Trouble("--by is for people: --json has the runs one a line.")
    text = " ".join(query)
    wanted = parse(text, "runs")
    if limit is None:
        limit = 0 if as_json else SHOWN
    with reading() as reader:
        runs = paged(
            lambda size, before: reader.runs(
                wanted, before_id=before, limit=size, roots=not subflows
            ),
            lambda run: run.id,
            limit,
        )
        if as_json:
            show_runs(reader, runs, as_json=True)
            return
        shown = list(runs)
        if by:
            _show_groups(reader, shown, by)
        else:
            show_runs(reader, shown, as_json=False)
        total = reader.count_runs(wanted, roots=not subflows)
    if total > len(shown):
        say(f"flowdeck: {len(shown)} of {total} runs; --limit 0 shows all.")
    elif not shown:
        say("flowdeck: no run matches." if text else _none_yet())


def _show_groups(reader: Reader, runs: list[FlowRunRecord], by: str) -> None:
    """Write runs below the headings of what they have in common."""
    from flowdeck_app.reports.contents import as_text
    from flowdeck_app.reports.runs import run_table
    from flowdeck_app.views.run_groups import grouped, heading_line
    from flowdeck_store.read.runs import RunPlace

    look, causes = stream_look(), reader.causes(runs)
    known = {run.id: run for run in runs}
    places = [
        RunPlace(run.id, run.flow, run.started_us or run.created_us, run.code, run.named)
        for run in runs
    ]
    ids, headings = grouped(places, by, (), look.now_us, look.zone)
    starts = [place for place, id_ in enumerate(ids) if id_ < 0]
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        head = heading_line(headings[ids[start]], look, look.width or _WIDE, folds=False)
        below = run_table([known[id_] for id_ in ids[start + 1 : end]], causes, look)
        echo([*([""] if start else []), as_text(head, look), *below])


def _none_yet() -> str:
    return f"flowdeck: nothing is recorded in {home()} yet; `flowdeck run TARGET` starts a flow."
