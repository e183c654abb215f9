"""``flowdeck config``: settings and where they come from; concurrency limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import home

if TYPE_CHECKING:
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.record.limits import Limit


@click.group("config", invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show settings and where each comes from; set concurrency limits.

    Settings: defaults < user file < [tool.flowdeck] of the nearest pyproject.toml < FLOWDECK_*
    variables < flags.

    \b
    Example:
      flowdeck config show
      flowdeck config limit database 4
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"say `flowdeck config {ctx.invoked_subcommand} --json`")


@command.command("show")
@json_option
def show(as_json: bool = False) -> None:
    """Show every setting, its value and where that came from.

    \b
    Example:
      flowdeck config show --json
    """
    from flowdeck.settings import provenance, unknown_variables

    found = provenance()
    if as_json:
        echo_json(
            {"name": name, "value": _plain(value), "from": where}
            for name, (value, where) in found.items()
        )
    else:
        from flowdeck_app.drawing.tables import TextColumn, table

        # The value comes last: one is a long list, and would push away what stands behind it.
        columns = (
            TextColumn("Setting"),
            TextColumn("From", least=10),
            TextColumn("Value", least=20),
        )
        rows: list[Row] = [
            [(name, "bold"), (where, "" if where != "default" else "dim"), _text(value)]
            for name, (value, where) in found.items()
        ]
        echo(table(columns, rows, stream_look()))
    for name in unknown_variables():
        say(f"flowdeck: {name} is set but means nothing to flowdeck.")


@command.command("limit")
@click.argument("tag", required=False)
@click.argument("maximum", required=False, metavar="N|none")
@click.option(
    "--per-second", type=float, metavar="D", help="A rate: D slots come free in a second."
)
@json_option
def limit(tag: str | None, maximum: str | None, per_second: float | None, as_json: bool) -> None:
    """Set how many task runs with a tag may execute at once; without N, show the limits.

    The limit holds over all flows and processes of this record, and for blocks of code too that name
    it: concurrency("TAG"). `none` lifts it. With 0 no such task starts: runs that need one are aborted.
    With --per-second it is a rate as well, for rate_limit("TAG"): N at once, then D in a second.
    Of one limit it is shown who holds its slots.

    \b
    Example:
      flowdeck config limit database 4
      flowdeck config limit api 10 --per-second 2.5
    """
    from flowdeck_store.record import limits

    if per_second is not None and (maximum in {None, "none"} or not 0 < per_second < 1e9):
        raise Trouble(
            "--per-second says how many slots of a limit come free in a second.",
            "`flowdeck config limit api 10 --per-second 2.5`: 10 at once, then 2.5 in a second.",
        )
    if tag is not None and maximum is not None:
        limits.set_limit(home(), tag, _maximum(maximum), per_second)
        said = f"at most {maximum} at once" if maximum != "none" else "no limit"
        then = "" if per_second is None else f", or {per_second:g} in a second as a rate"
        say(f"flowdeck: tag {tag!r}: {said}{then}.")
        return
    shown = [item for item in limits.list_limits(home()) if tag in {None, item.tag}]
    if as_json:
        echo_json(_limit_json(item) for item in shown)
    elif shown:
        _show_limits(shown)
        if tag is not None:
            echo([f"Held by {holder}." for holder in _holders(tag)])
    else:
        say(f"flowdeck: {f'tag {tag!r} has no limit' if tag else 'there are no limits'}.")


def _limit_json(item: Limit) -> dict[str, Any]:
    return {"tag": item.tag, "limit": item.max, "in_use": item.in_use, "per_second": item.decay}


def _show_limits(shown: list[Limit]) -> None:
    from flowdeck_app.drawing.tables import TextColumn, table

    columns = [
        TextColumn("Tag", least=8), TextColumn("Limit", right=True), TextColumn("In use", right=True)
    ]  # fmt: skip
    rows = [[i.tag, str(i.max), str(i.in_use)] for i in shown]
    if any(item.decay is not None for item in shown):
        columns.append(TextColumn("Per second", right=True))
        for row, item in zip(rows, shown, strict=True):
            row.append("" if item.decay is None else f"{item.decay:g}")
    echo(table(columns, rows, stream_look()))


def _holders(tag: str) -> list[str]:
    """Say who holds the slots of a limit."""
    from flowdeck.stalls.holders import where_of, who_holds
    from flowdeck_store.upkeep.slot_holders import slot_holders

    found = []
    for holder in slot_holders(home(), [tag]):
        many = f" ({holder.slots} slots)" if holder.slots > 1 else ""
        found.append(f"{who_holds(holder)}{where_of(holder)}{many}")
    return found


def _maximum(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal() or len(text) > 9:
        raise Trouble(f"{text!r} is not a limit.", "a limit is a whole number, or none to lift it.")
    return int(text)


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "none"
    return "none" if value is None else str(value)
