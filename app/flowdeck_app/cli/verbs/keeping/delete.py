"""``flowdeck delete``: remove runs from the record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import QueryCommand, complete_run, json_option
from flowdeck_app.cli.output import ask, echo_json, plural, say
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


@click.command("delete", cls=QueryCommand)
@click.argument(
    "words", metavar="RUN...|QUERY", nargs=-1, required=True, shell_complete=complete_run
)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def command(words: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete flow runs with their subflow runs, logs and kept results.

    Runs are named, or found by a QUERY (`flowdeck runs` takes the same). Runs that go on are
    refused; a query leaves them out.

    \b
    Examples:
      flowdeck delete 1234 brave-otter
      flowdeck delete state:failed flow:etl until:30d --dry-run
    """
    from flowdeck_app.cli.lists import listed, show_runs
    from flowdeck_store.upkeep import retention

    with reading() as reader:
        runs = _chosen(reader, words)
        if dry_run:
            show_runs(reader, runs, as_json=as_json)
    if not runs:
        return
    if dry_run:
        say(f"flowdeck: would delete {plural(len(runs), 'run')}.")
        return
    ask(f"Delete {listed(runs)}?", yes=yes)
    report = retention.delete_runs(home(), [run.id for run in runs])
    say(f"flowdeck: deleted {plural(len(report.run_ids), 'run')}.")
    if as_json:
        echo_json([{"deleted": list(report.run_ids)}])


def _chosen(reader: Reader, words: tuple[str, ...]) -> list[FlowRunRecord]:
    from flowdeck_app.cli.selection import is_query, named_or_found

    runs = named_or_found(reader, words)
    if not is_query(words):
        return runs  # one that goes on is refused
    live = sum(not run.is_final for run in runs)
    if live:
        say(f"flowdeck: {plural(live, 'run')} of these go on and stay.")
    return [run for run in runs if run.is_final]
