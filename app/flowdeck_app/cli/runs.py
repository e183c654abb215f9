"""``flowdeck runs``: the record's flow runs, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import (
    QueryCommand,
    echo,
    echo_json,
    json_option,
    look,
    reading,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.query import Query
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord


@click.command("runs", cls=QueryCommand)
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True,
    help="How many runs at most; 0: all.",
)  # fmt: skip
@click.option("--subflows", is_flag=True, help="Also the runs that other runs called.")
@json_option
def command(query: tuple[str, ...], limit: int, subflows: bool, as_json: bool) -> None:
    """List flow runs, newest first.

    QUERY filters: state:failed,crashed flow:etl* since:7d until:1d runner:dask tag:prod -tag:test
    duration:>5s, and words that names must contain.

    \b
    Example:
      flowdeck runs state:failed since:7d
    """
    from flowdeck_store.query import parse

    text = " ".join(query)
    wanted = parse(text, "runs")
    with reading() as reader:
        if as_json:
            from flowdeck_store import json_shape

            echo_json(json_shape.flow_run(run) for run in _pages(reader, wanted, limit, subflows))
            return
        runs = list(_pages(reader, wanted, limit, subflows))
        failed_in = reader.first_failures([run.id for run in runs])
        total = reader.count_runs(wanted, roots=not subflows)
    if runs:
        from flowdeck_app.text.runs import run_table

        echo(run_table(runs, failed_in, look()))
    if total > len(runs):
        say(f"flowdeck: {len(runs)} of {total} runs; --limit 0 shows all.")
    elif not runs:
        say("flowdeck: no run matches." if text else _none_yet())


def _pages(reader: Reader, query: Query, limit: int, subflows: bool) -> Iterator[FlowRunRecord]:
    """Read in pages, so that a million runs are no list of a million."""
    before: int | None = None
    left = limit or None
    while left is None or left > 0:
        size = 200 if left is None else min(200, left)
        page = reader.runs(query, before_id=before, limit=size, roots=not subflows)
        yield from page
        if len(page) < size:
            return
        before = page[-1].id
        left = None if left is None else left - size


def _none_yet() -> str:
    from flowdeck_app.cli.common import home

    return f"flowdeck: nothing is recorded in {home()} yet; `flowdeck run TARGET` starts a flow."
