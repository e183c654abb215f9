"""``flowdeck ui``: the terminal app, here or in a browser."""

from __future__ import annotations

import sys

import click

from flowdeck_app.cli.common import complete_run, home, is_terminal
from flowdeck_app.cli.errors import Trouble


@click.command("ui")
@click.argument("ref", metavar="[RUN]", required=False, shell_complete=complete_run)
@click.option("--serve", is_flag=True, help="Show the app in a browser instead.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --serve.")
@click.option("--port", type=click.IntRange(1, 65535), default=8517, show_default=True,
              help="With --serve.")  # fmt: skip
def command(ref: str | None = None, serve: bool = False, host: str = "", port: int = 0) -> None:
    """Open the terminal app, at a run if one is named.

    \b
    Example:
      flowdeck ui @last
    """
    if serve:
        _serve(ref, host, port)
        return
    if not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        raise Trouble(
            "the app needs a terminal.", "`flowdeck runs` and the other verbs work without one."
        )
    try:
        from flowdeck_app.app import run_app
    except ModuleNotFoundError as error:
        if error.name != "flowdeck_app.app":
            raise
        raise Trouble(
            "this installation has no terminal app.", "`flowdeck --help` lists the verbs."
        ) from None
    if ref is not None:
        from flowdeck_app.cli.common import reading

        with reading() as reader:
            ref = reader.resolve_run(ref).uid
    run_app(home=home(), run=ref)


def _serve(ref: str | None, host: str, port: int) -> None:
    try:
        from textual_serve.server import Server
    except ImportError:
        raise Trouble(
            "--serve needs the package textual-serve.", "pip install 'flowdeck[serve]' adds it."
        ) from None
    import shlex

    words = [sys.executable, "-P", "-m", "flowdeck_app", "--home", str(home()), "ui"]
    Server(shlex.join([*words, *([ref] if ref else [])]), host=host, port=port).serve()
