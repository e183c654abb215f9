"""``flowdeck watch``: follow a run from any terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble, exit_code
from flowdeck_app.cli.options import run_argument
from flowdeck_app.cli.output import echo, is_terminal, stream_look
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

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
            _append(reader, run)
        else:
            _draw(reader, run)
        last = reader.run(run.id)
        if last is None:
            raise Trouble(f"{run.name} was deleted while it was watched.")
        from flowdeck_app.reports.runs import ending

        echo(ending(last, reader.cause(last), stream_look()))
    ctx.exit(exit_code(last))


def _append(reader: Reader, run: FlowRunRecord) -> None:
    from flowdeck_app.cli.following import LogLines

    lines = LogLines(reader, run)
    for batch in lines.batches(follow=True, tail=FIRST_LINES):
        echo(lines.drawn(batch, stream_look()))


def _draw(reader: Reader, run: FlowRunRecord) -> None:
    from flowdeck_app.cli.display import INTERVAL, Frame, live_console, open_live
    from flowdeck_app.cli.following import until_final

    console = live_console()
    frame = Frame(reader, run)
    with open_live(console) as live:
        for fresh in until_final(reader, run):
            live.update(frame.draw(fresh, console), refresh=True)
            time.sleep(INTERVAL)  # ten pictures a second are enough, however much happens
