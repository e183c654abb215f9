"""``flowdeck wait``: sit still until a run is over."""

from __future__ import annotations

import click

from flowdeck_app.cli.errors import TIMED_OUT, Trouble, exit_code
from flowdeck_app.cli.options import SECONDS, json_option, run_argument
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading


@click.command("wait")
@run_argument("ref")
@click.option("--timeout", type=SECONDS, metavar="SECONDS", help="Wait no longer.")
@json_option
@click.pass_context
def command(ctx: click.Context, ref: str, timeout: float | None, as_json: bool) -> None:
    """Wait for a flow run to end, show it, and exit with its code.

    Exits with 0 when the run completed, 1 when it failed or crashed, 130 when it was cancelled,
    124 when SECONDS are over.

    \b
    Example:
      flowdeck wait @last && echo done
    """
    from flowdeck_app.cli.following import wait_for

    with reading() as reader:
        known = reader.resolve_run(ref)
        run = wait_for(reader, known, timeout)
        cause = reader.cause(run) if run is not None else None
    if run is None:
        raise Trouble(f"{known.name} was deleted while it was waited for.")
    if not run.is_final:
        raise Trouble(f"{run.name} is still {run.state} after {timeout:g} s.", code=TIMED_OUT)
    if as_json:
        from flowdeck_store.read import json_shape

        echo_json([json_shape.flow_run(run, cause)])
    else:
        from flowdeck_app.reports.runs import ending

        echo(ending(run, cause, stream_look()))
    ctx.exit(exit_code(run))
