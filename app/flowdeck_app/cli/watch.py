"""``flowdeck watch``: follow a run from any terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import (
    echo,
    exit_code,
    is_terminal,
    look,
    reading,
    run_argument,
)
from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

FIRST_LINES = 10


@click.command("watch")
@run_argument("ref")
@click.option("--plain", is_flag=True, help="Append lines instead of drawing (screen readers).")
@click.pass_context
def command(ctx: click.Context, ref: str, plain: bool) -> None:
    """Watch a flow run until it ends, and exit with its code.

    Draws progress on a terminal; elsewhere, or with --plain, it appends log lines. Ctrl-C stops
    watching; the run goes on.

    \b
    Example:
      flowdeck watch @last
    """
    with reading() as reader:
        run = reader.resolve_run(ref)
        if plain or not is_terminal(sys.stderr) or run.is_final:
            last = _append(reader, run)
        else:
            last = _draw(reader, run)
    if last is None:
        raise Trouble(f"{run.name} was deleted while it was watched.")
    from flowdeck_app.text.runs import ending

    echo(ending(last, look()))
    ctx.exit(exit_code(last))


def _append(reader: Reader, run: FlowRunRecord) -> FlowRunRecord | None:
    from flowdeck_app.cli.following import Speakers, until_final

    speakers = Speakers(reader, run)
    first = reader.logs(run.id, limit=FIRST_LINES, tail=True)
    echo(speakers.lines(first, look()))
    after = first[-1].seq if first else 0
    last = None
    for fresh in until_final(reader, run):
        last = fresh
        while batch := reader.logs(run.id, after_seq=after, limit=500):
            echo(speakers.lines(batch, look()))
            after = batch[-1].seq
    return last


def _draw(reader: Reader, run: FlowRunRecord) -> FlowRunRecord | None:
    from flowdeck_app.cli.display import INTERVAL, Frame, live_console, open_live
    from flowdeck_app.cli.following import until_final

    console = live_console()
    frame = Frame(reader, run)
    last = None
    with open_live(console) as live:
        for last in until_final(reader, run):
            live.update(frame.draw(last, console), refresh=True)
            time.sleep(INTERVAL)  # ten pictures a second are enough, however much happens
    return last
