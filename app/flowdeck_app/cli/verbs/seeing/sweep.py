"""``flowdeck sweep``: the runs of a sweep as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader


def _complete(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    import contextlib

    from click.shell_completion import CompletionItem

    from flowdeck_app.cli.record import home
    from flowdeck_app.views.sweeps import sweeps_of
    from flowdeck_store.read.reader import Reader

    with contextlib.suppress(Exception), Reader.open(home()) as reader:
        runs = reader.runs("tag:sweep:*", limit=1_000, roots=True)
        names = dict.fromkeys(name for run in runs for name in sweeps_of(run.tags))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []


@click.command("sweep")
@click.argument("name", required=False, shell_complete=_complete)
@click.option(
    "--sort", metavar="COLUMN", default="run", help="By a column; -COLUMN: greatest first."
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="So many runs at most (0: all; default: 50, with --json all).",
)
@json_option
def command(name: str | None, sort: str, limit: int | None, as_json: bool) -> None:
    """Show the runs of a sweep (`flowdeck run --grid`): parameters, states, times, numbers.

    NAME is what the sweep said at its beginning; default: the newest one. Numbers are those in what
    runs returned, and artifacts that are numbers.

    \b
    Example:
      flowdeck sweep --sort loss --limit 10
    """
    from flowdeck_app.cli.starting.sweep_table import show_table
    from flowdeck_app.views.sweeps import read_sweep

    with reading() as reader:
        sweep = read_sweep(reader, name or _newest(reader))
        if not sweep.rows:
            raise Trouble(
                f"there is no sweep {name!r}.",
                "`flowdeck runs 'tag:sweep:*'` lists runs of sweeps.",
            )
        show_table(reader, sweep, sort=sort, limit=limit, as_json=as_json)


def _newest(reader: Reader) -> str:
    from flowdeck_app.views.sweeps import newest_sweep

    found = newest_sweep(reader)
    if found is None:
        raise Trouble("there is no sweep.", "`flowdeck run TARGET --grid NAME=1,2,3` makes one.")
    return found
