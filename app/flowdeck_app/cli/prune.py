"""``flowdeck prune``: delete old runs by a rule."""

from __future__ import annotations

import click

from flowdeck_app.cli.common import ask, home, look_after_dead, say
from flowdeck_app.cli.errors import Trouble


@click.command("prune")
@click.option("--keep-days", type=click.FloatRange(min=0), metavar="N", help="Keep N days.")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep N runs of a flow.")
@click.option("--keep-failed", is_flag=True, help="Keep failed and crashed runs.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--vacuum", is_flag=True, help="Afterwards give the disk space back.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(
    keep_days: float | None,
    keep_last: int | None,
    keep_failed: bool,
    dry_run: bool,
    vacuum: bool,
    yes: bool,
) -> None:
    """Delete the runs that no --keep option keeps. Runs that go on or are pinned always stay.

    \b
    Example:
      flowdeck prune --keep-days 30 --keep-last 20 --keep-failed
    """
    from flowdeck_app.text.times import size
    from flowdeck_store import retention

    if keep_days is None and keep_last is None and not vacuum:
        raise Trouble(
            "prune needs a rule.", "for example `flowdeck prune --keep-days 30 --keep-last 20`."
        )
    look_after_dead()
    if keep_days is not None or keep_last is not None:
        rule = {"keep_days": keep_days, "keep_last": keep_last, "keep_failed": keep_failed}
        plan = retention.plan(home(), **rule)
        what = f"{plan.runs} run{'s' if plan.runs != 1 else ''} (about {size(plan.bytes)})"
        if dry_run:
            say(f"flowdeck: would delete {what}.")
            return
        if not plan.runs:
            say("flowdeck: nothing to delete.")
        else:
            ask(f"Delete {what}?", yes=yes)
            report = retention.prune(home(), **rule)
            say(f"flowdeck: deleted {report.runs} run{'s' if report.runs != 1 else ''}.")
    if vacuum and not dry_run:
        say(f"flowdeck: {size(retention.vacuum(home()))} given back.")
