"""``flowdeck runs``: the record's flow runs, newest first."""

from __future__ import annotations

import click

from flowdeck_app.cli.lists import paged, show_runs
from flowdeck_app.cli.options import QueryCommand, json_option
from flowdeck_app.cli.output import say
from flowdeck_app.cli.record import home, reading

SHOWN = 20


@click.command("runs", cls=QueryCommand)
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0),
    help="How many runs at most; 0: all (default: 20; with --json: all).",
)  # fmt: skip
@click.option("--subflows", is_flag=True, help="Also the runs that other runs called.")
@json_option
def command(query: tuple[str, ...], limit: int | None, subflows: bool, as_json: bool) -> None:
    """List flow runs, newest first.

    QUERY filters: state:failed,crashed flow:etl* since:7d until:1d runner:dask tag:prod -tag:test
    duration:>5s, and words that names must contain.

    \b
    Example:
      flowdeck runs state:failed since:7d
    """
    from flowdeck_store.query.language import parse

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
        show_runs(reader, shown, as_json=False)
        total = reader.count_runs(wanted, roots=not subflows)
    if total > len(shown):
        say(f"flowdeck: {len(shown)} of {total} runs; --limit 0 shows all.")
    elif not shown:
        say("flowdeck: no run matches." if text else _none_yet())


def _none_yet() -> str:
    return f"flowdeck: nothing is recorded in {home()} yet; `flowdeck run TARGET` starts a flow."
