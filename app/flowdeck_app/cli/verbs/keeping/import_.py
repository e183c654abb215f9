"""``flowdeck import``: runs from a file."""

from __future__ import annotations

from pathlib import Path

import click

from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo_json, say
from flowdeck_app.cli.record import home
from flowdeck_app.drawing import amounts


@click.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def command(path: Path, as_json: bool) -> None:
    """Read flow runs from a file that `flowdeck export` wrote. Nothing in it is executed.

    Kept results that are in it are written beside the record's own; those that are pickles are never
    loaded, as that could run anything: `flowdeck result TASK_RUN --save FILE` gives their bytes.

    \b
    Example:
      flowdeck import failed.flowdeck
    """
    from flowdeck_store.archive.export import import_run

    imported = import_run(home(), path)
    numbers = ", ".join(f"#{run_id}" for run_id in imported.run_ids)
    say(f"flowdeck: imported {numbers or 'nothing: these runs are recorded already'}.")
    if kept := imported.kept.count:
        say(
            f"flowdeck: {kept} kept {'result' if kept == 1 else 'results'} came along "
            f"({amounts.size(imported.kept.bytes)}). JSON is loaded where it is asked for, pickles never."
        )
    if as_json:
        echo_json([{"runs": list(imported.run_ids), "results": kept}])
