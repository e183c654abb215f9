"""``flowdeck mcp``: flowdeck for agents, over stdio."""

from __future__ import annotations

import click

from flowdeck_app.cli.errors import Trouble


@click.command("mcp")
@click.option("--allow-run", is_flag=True, help="Let the agent start, cancel and answer runs, too.")
@click.option(
    "--redact", is_flag=True, help="Leave out all values: parameters, inputs, variables, results."
)
def command(allow_run: bool, redact: bool) -> None:
    """Serve this record to an agent: the Model Context Protocol over stdio.

    An agent (an editor, an assistant) starts this command and talks to it over stdin and stdout. It
    can list, read, explain and wait for runs; with --allow-run it can start and stop them.

    \b
    Example:
      flowdeck mcp --allow-run
    """
    from flowdeck.version import __version__

    try:
        from flowdeck_app.agents.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        raise Trouble(
            "the package `mcp` is not installed.", "`pip install 'flowdeck[mcp]'` adds it."
        ) from None
    serve(__version__, allow_run=allow_run, redact=redact)
