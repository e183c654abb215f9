"""``flowdeck doctor``: is everything in order?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import OK, STORE, USAGE
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import home, look_after_dead

if TYPE_CHECKING:
    from flowdeck_app.cli.checks import Check
    from flowdeck_app.drawing.look import Look

CONNECT_SECONDS = 5.0


@click.command("doctor")
@click.option("--address", metavar="ADDR", help="Also ask the Dask or Ray there.")
@json_option
@click.pass_context
def command(ctx: click.Context, address: str | None, as_json: bool) -> None:
    """Check the installation, the record and, if asked, a cluster's address.

    Exits with 3 when something is wrong with the record, 2 when the address does not answer.

    \b
    Example:
      flowdeck doctor --address tcp://10.0.0.5:8786
      flowdeck doctor --address ray://10.0.0.5:10001
    """
    from flowdeck_app.cli import checks

    look_after_dead()
    found = [*checks.installation(), *checks.record(home()), *checks.schedules(home())]
    code = STORE if any(check.verdict == "bad" for check in found) else OK
    if address is not None:
        from flowdeck_app.cli.addresses import try_address

        answer = try_address(address, CONNECT_SECONDS)
        found.append(answer)
        code = code or (USAGE if answer.verdict == "bad" else OK)
    if as_json:
        echo_json(dataclasses.asdict(check) for check in found)
    else:
        echo(_line(check, stream_look()) for check in found)
    ctx.exit(code)


def _line(check: Check, seen: Look) -> str:
    from flowdeck_app.drawing.cells import fit
    from flowdeck_store.safe import one_line

    glyph, plain, style = _MARKS[check.verdict]
    head = seen.paint(f"{plain if seen.symbols.ascii else glyph} {fit(check.name, 14)}", style)
    advice = f"\n{'':17}{one_line(check.advice)}" if check.advice else ""
    return f"{head} {one_line(check.found)}{advice}"


_MARKS: dict[str, tuple[str, str, str]] = {
    "ok": ("✓", "+", "green"),
    "note": ("·", ".", "dim"),
    "warning": ("!", "!", "yellow"),
    "bad": ("✗", "x", "red"),
}
