"""``flowdeck search``: words in all log lines and failures of the record."""

from __future__ import annotations

import sys
from typing import Final

import click

from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home

SHOWN: Final = 50


@click.command("search")
@click.argument("words", nargs=-1, required=True, metavar="TEXT...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0),
    help="How many lines at most; 0: all (default: 50; with --json: all).",
)  # fmt: skip
@json_option
def command(words: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """Find log lines and failures of all runs that have all of these words, newest first.

    Case and accents make no difference. `'"connection reset"'` in quotes stands side by side,
    `time*` is how a word begins. The first search makes an index beside the record (search.db, which
    may be deleted); later ones add what is new.

    \b
    Example:
      flowdeck search connection reset
      flowdeck search '"page 7"' time*
    """
    from flowdeck_store.search import search

    if limit is None:
        limit = 0 if as_json else SHOWN
    shown = sys.stderr.isatty() and not as_json
    try:
        found = search(home(), " ".join(words), limit=limit and limit + 1,
                       progress=_indexed if shown else None)  # fmt: skip
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
    if as_json:
        echo_json(hit.as_json() for hit in found)
        return
    if found:
        from flowdeck_app.reports.logs import hit_table

        echo(hit_table(found[: limit or None], stream_look()))
    if limit and len(found) > limit:
        say(f"flowdeck: the newest {limit}; --limit 0 shows all.")
    elif not found:
        say("flowdeck: nothing has these words.")


def _indexed(known: int, there: int) -> None:
    sys.stderr.write(f"\rindexing {known:,} of {there:,} lines")
    sys.stderr.flush()
