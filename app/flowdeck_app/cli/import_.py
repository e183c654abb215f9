"""``flowdeck import``: runs from a file."""

from __future__ import annotations

from pathlib import Path

import click

from flowdeck_app.cli.common import home, say


@click.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def command(path: Path) -> None:
    """Read flow runs from a file that `flowdeck export` wrote. Nothing in it is executed.

    \b
    Example:
      flowdeck import failed.flowdeck
    """
    from flowdeck_store import archive

    imported = archive.import_run(home(), path)
    numbers = ", ".join(f"#{run_id}" for run_id in imported.run_ids)
    say(f"flowdeck: imported {numbers or 'nothing: these runs are recorded already'}.")
