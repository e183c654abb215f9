"""``flowdeck export``: one run as a file."""

from __future__ import annotations

from pathlib import Path

import click

from flowdeck_app.cli.common import home, reading, run_argument, say
from flowdeck_app.cli.errors import Trouble


@click.command("export")
@run_argument("ref")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def command(ref: str, path: Path | None, force: bool) -> None:
    """Write one flow run with all it holds to a file (default: NAME.flowdeck).

    The file is an SQLite database without kept values: it can be attached to a report and read by
    `flowdeck import` on another machine without the flow's code.

    \b
    Example:
      flowdeck export @last-failed failed.flowdeck
    """
    from flowdeck_store import archive

    with reading() as reader:
        run = reader.resolve_run(ref)
    path = path or Path(f"{_file_name(run.name)}.flowdeck")
    if path.exists() and not force:
        raise Trouble(f"{path} exists.", "choose another name or add --force.")
    path.unlink(missing_ok=True)
    archive.export_run(home(), run.id, path)
    say(f"flowdeck: {run.name} (#{run.id}) is in {path}.")


def _file_name(name: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80].strip("_")
    return safe or "run"
