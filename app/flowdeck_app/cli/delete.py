"""``flowdeck delete``: remove runs from the record."""

from __future__ import annotations

import click

from flowdeck_app.cli.common import ask, home, plural, reading, run_argument, say


@click.command("delete")
@run_argument("refs", many=True)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(refs: tuple[str, ...], yes: bool) -> None:
    """Delete flow runs with their task runs, logs and kept results. Runs that go on are refused.

    \b
    Example:
      flowdeck delete 1234 brave-otter
    """
    from flowdeck_store import retention

    with reading() as reader:
        runs = {run.id: run for run in (reader.resolve_run(ref) for ref in refs)}
    names = ", ".join(f"{run.name} (#{run.id})" for run in list(runs.values())[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    ask(f"Delete {names}{more}?", yes=yes)
    report = retention.delete_runs(home(), list(runs))
    say(f"flowdeck: deleted {plural(len(report.run_ids), 'run')}.")
