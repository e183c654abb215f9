"""``flowdeck top``: all that goes on now, and what it uses."""

from __future__ import annotations

import dataclasses
import select
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, is_terminal, stream_look
from flowdeck_app.cli.record import look_after_dead, reading
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.read.reader import Reader

#: Seconds between two pictures: samples come once a second.
INTERVAL = 1.0


@click.command("top")
@click.option("--once", is_flag=True, help="Print one picture and exit, also on a terminal.")
@json_option
def command(once: bool, as_json: bool) -> None:
    """Show the flow runs that go on now: tasks, time left, processor, memory, workers.

    On a terminal it is drawn anew every second until q or Ctrl-C; elsewhere, with --once or with
    --json it is said once.

    \b
    Example:
      flowdeck top --once
    """
    from flowdeck_app.reports import top as text

    with reading() as reader:
        look_after_dead()
        if as_json:
            echo_json(run.as_json() for run in text.live_runs(reader, now_us()))
        elif once or not (is_terminal(sys.stdout) and is_terminal(sys.stdin)):
            echo(text.top(text.live_runs(reader, now_us()), stream_look()))
        else:
            _draw(reader)


def _draw(reader: Reader) -> None:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    from flowdeck_app.reports import top as text

    look = stream_look()
    console = Console(no_color=not look.color, highlight=False, markup=False)
    with _single_keys(), Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            now = now_us()
            seen = dataclasses.replace(look.at(now), width=console.width)
            lines = text.top(text.live_runs(reader, now), seen)[: max(1, console.height - 1)]
            # Text.from_ansi, never markup: names are anybody's.
            shown = [Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines]
            live.update(Group(*shown, Text("q quits", style="dim")), refresh=True)
            if select.select([sys.stdin], [], [], INTERVAL)[0] and sys.stdin.read(1) in {"q", ""}:
                return
            look_after_dead()


@contextmanager
def _single_keys() -> Iterator[None]:
    """Have keys come one by one, without Enter and unseen."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
