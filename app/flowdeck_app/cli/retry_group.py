"""Repairing an error: ``retry --failed`` for the newest open run of each flow that failed with it.

Both ``flowdeck retry --group GROUP`` and ``flowdeck errors GROUP --retry`` do this.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_app.cli.errors import INTERRUPTED
from flowdeck_app.cli.output import ask, plural, say
from flowdeck_app.cli.record import home, reading
from flowdeck_app.cli.streams import flush_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from flowdeck_store.read.records import FlowRunRecord


@dataclass(frozen=True, slots=True)
class Repairing:
    """How: with which verb, only saying what would run again, returning at once, not asking, writing
    JSON."""

    verb: click.Command
    dry_run: bool
    detach: bool
    yes: bool
    as_json: bool


def retry_group(ctx: click.Context, group: str, query: str, how: Repairing) -> None:
    """Repair an error.

    Args:
        ctx: of the verb.
        group: id of the group of errors, the beginning of one, or ``@last``.
        query: only of runs that this filter finds.
        how: the options.

    Raises:
        NotFound, Ambiguous, QueryError: the group or the filter is wrong.
        Trouble: nobody answers the question.
    """
    with reading() as reader:
        found = reader.error_group(group, query)
        runs = reader.error_repairs(found)
    if not runs:
        say(f"flowdeck: no run with {found.title} waits to be repaired.")
    elif how.dry_run:
        say(f"flowdeck: would retry {plural(len(runs), 'run')}.")
        for run in runs:
            ctx.invoke(how.verb, ref=str(run.id), failed=True, dry_run=True, as_json=how.as_json)
    else:
        from flowdeck_app.cli.lists import listed

        ask(f"Retry what failed of {listed(runs)}?", yes=how.yes)
        _retry(ctx, runs, how)


def _retry(ctx: click.Context, runs: Sequence[FlowRunRecord], how: Repairing) -> None:
    """Carry out ``retry --failed`` for each run, one after the other; exit with the worst code.

    Each of several in a process of its own: flows of different folders may have modules of the
    same name, and the first one imported would be everybody's.
    """
    if len(runs) == 1:
        ctx.invoke(
            how.verb, ref=str(runs[0].id), failed=True, detach=how.detach, as_json=how.as_json
        )
        return
    options = [*(["--detach"] if how.detach else []), *(["--json"] if how.as_json else [])]
    codes: list[int] = []
    for run in runs:
        codes.append(_in_process_of_its_own(["retry", str(run.id), "--failed", *options]))
        if codes[-1] == INTERRUPTED:
            break
    ctx.exit(max(codes))


def _in_process_of_its_own(words: list[str]) -> int:
    """Run the command line; a Ctrl+C is the other process's to obey."""
    flush_stdout()
    command = [sys.executable, "-P", "-m", "flowdeck_app", "--home", str(home()), *words]
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
            except KeyboardInterrupt:
                continue
            return INTERRUPTED if code < 0 else code
