"""``flowdeck prune``: delete old runs by a rule."""

from __future__ import annotations

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import DAYS, json_option
from flowdeck_app.cli.output import ask, echo_json, plural, say
from flowdeck_app.cli.record import home, look_after_dead


@click.command("prune")
@click.option("--keep-days", type=DAYS, metavar="N", help="Keep N days.")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep N runs of a flow.")
@click.option("--keep-failed", is_flag=True, help="Keep failed and crashed runs.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
    keep_days: float | None,
    keep_last: int | None,
    keep_failed: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete the runs that no --keep option keeps, and give the disk space back.

    Subflow runs go with the run that called them. Runs that go on or are pinned always stay.

    \b
    Example:
      flowdeck prune --keep-days 30 --keep-last 20 --keep-failed
    """
    from flowdeck_app.drawing.amounts import size
    from flowdeck_store.upkeep import retention

    if keep_days is None and keep_last is None:
        raise Trouble(
            "prune needs a rule.", "for example `flowdeck prune --keep-days 30 --keep-last 20`."
        )
    look_after_dead()
    where = home()
    plan = retention.plan(where, keep_days=keep_days, keep_last=keep_last, keep_failed=keep_failed)
    what = f"{plural(plan.roots, 'run')} with {plural(plan.task_runs, 'task run')}"
    if plan.kept:
        say(f"flowdeck: {plural(len(plan.kept), 'run')} stay: they go on or are pinned.")
    if dry_run and as_json:
        echo_json([{"would_delete": list(plan.run_ids), "bytes": plan.bytes}])
    if not plan.run_ids:
        say("flowdeck: nothing to delete.")
        return
    if dry_run:
        say(f"flowdeck: would delete {what} (about {size(plan.bytes)}).")
        return
    ask(f"Delete {what} (about {size(plan.bytes)})?", yes=yes)
    report = retention.prune(
        where, keep_days=keep_days, keep_last=keep_last, keep_failed=keep_failed
    )
    say(f"flowdeck: deleted {plural(len(report.run_ids), 'run')}, {size(report.freed)} given back.")
    if as_json:
        echo_json([{"deleted": list(report.run_ids), "bytes": report.freed}])
