"""``flowdeck ui``: the terminal app, here or in a browser."""

from __future__ import annotations

import os
import shlex
import sys

import click

from flowdeck_app.cli.errors import Trouble, is_called
from flowdeck_app.cli.options import complete_run
from flowdeck_app.cli.output import is_terminal, say, stream_look
from flowdeck_app.cli.record import home, reading


@click.command("ui")
@click.argument("ref", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option("--serve", is_flag=True, help="Show the app in a browser instead.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --serve.")
@click.option("--port", type=click.IntRange(1, 65535), default=8517, show_default=True,
              help="With --serve.")  # fmt: skip
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII signs only.")
@click.pass_context
def command(
    ctx: click.Context,
    ref: str | None = None,
    serve: bool = False,
    host: str = "",
    port: int = 0,
    plain: bool = False,
) -> None:
    """Open the terminal app, at a run if one is named.

    \b
    Example:
      flowdeck ui @last
    """
    if serve:
        _serve(ref, host, port, plain=plain)
        return
    in_browser = "TEXTUAL_DRIVER" in os.environ  # a child of --serve: its screen is a pipe
    if not in_browser and not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise Trouble(
            "the app needs a terminal.", "`flowdeck runs` and the other verbs work without one."
        )
    from flowdeck_app.opening import run_app
    from flowdeck_store.file.identity import host_name

    open_run = None
    if ref is not None:
        with reading() as reader:
            open_run = reader.resolve_run(ref).id
    ascii_only = plain or (not in_browser and stream_look().symbols.ascii)
    machine = host_name() if is_called() else ""
    ctx.exit(run_app(home(), ascii_only=ascii_only, open_run=open_run, machine=machine))


def _serve(ref: str | None, host: str, port: int, *, plain: bool) -> None:
    try:
        from flowdeck_app.terminal.serving import HERE, AppServer
    except ImportError:
        raise Trouble(
            "--serve needs the package textual-serve.", "pip install 'flowdeck[serve]' adds it."
        ) from None
    if host not in HERE:
        say(
            f"flowdeck: other computers reach {host}, unencrypted: whoever has the address with its "
            "token can start and cancel runs here and read the record. Without --host only this "
            "computer reaches it."
        )
    words = [sys.executable, "-P", "-m", "flowdeck_app", "--home", str(home()), "ui"]
    words += ["--ascii"] if plain else []
    AppServer(shlex.join([*words, *([ref] if ref else [])]), host, port).serve()
