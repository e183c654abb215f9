"""``flowdeck backup``: the whole record as a file."""

from __future__ import annotations

from pathlib import Path

import click

from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo_json, plural, say
from flowdeck_app.cli.record import home


@click.command("backup")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
def command(path: Path, force: bool, as_json: bool) -> None:
    """Copy the record into a file, also while flows run.

    Kept results are not in it. To use the copy, name it flowdeck.db in an empty folder and set
    FLOWDECK_HOME to that folder.

    \b
    Example:
      flowdeck backup flowdeck-backup.db
    """
    from flowdeck_app.drawing.amounts import size
    from flowdeck_store.upkeep.backup import back_up

    made = back_up(home(), path, replace=force)
    if as_json:
        echo_json([{"file": str(made.path), "bytes": made.bytes, "runs": made.runs}])
        return
    say(f"flowdeck: {plural(made.runs, 'run')}, {size(made.bytes)} are in {made.path}.")
