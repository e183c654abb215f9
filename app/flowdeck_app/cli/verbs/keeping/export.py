"""``flowdeck export``: one run as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import Amount, json_option, run_argument
from flowdeck_app.cli.output import echo_json, say
from flowdeck_app.cli.record import home, reading
from flowdeck_app.drawing import amounts

if TYPE_CHECKING:
    from flowdeck_store.archive.kept import KeptFiles

_WITH_VALUES = (
    ", with its parameters as given and the values and log lines that were recorded "
    "(--redact leaves values out)."
)
_WITHOUT_VALUES = ", without values; messages and log lines are in it."


@click.command("export")
@run_argument("ref")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@click.option("--redact", is_flag=True, help="Leave out all values, keep what happened.")
@click.option("--with-results", is_flag=True, help="Put the files of kept results in, too.")
@click.option(
    "--results-mb",
    type=Amount(min=0, max=1e6),
    metavar="MB",
    default=100,
    show_default=True,
    help="With --with-results: the most that they may take; the small ones come first.",
)
@json_option
def command(
    ref: str,
    path: Path | None,
    force: bool,
    redact: bool,
    with_results: bool,
    results_mb: float,
    as_json: bool,
) -> None:
    """Write one flow run with all it holds to a file (default: NAME.flowdeck).

    The file is an SQLite database: it can be attached to a report and read by `flowdeck import` on
    another machine without the flow's code. Kept results stay behind unless --with-results is given.

    It holds parameters as they were given, and what the record shows of inputs, results and variables:
    --redact hides these (messages and log lines stay, without what looks like a secret).

    \b
    Example:
      flowdeck export @last-failed failed.flowdeck
      flowdeck export @last --with-results
    """
    from flowdeck_store.archive.export import export_run

    if redact and with_results:
        raise Trouble("--redact leaves out what --with-results puts in.", "choose one of them.")
    with reading() as reader:
        run = reader.resolve_run(ref)
    path = path or Path(f"{_file_name(run.name)}.flowdeck")
    if path.exists() and not force:
        raise Trouble(f"{path} exists.", "choose another name or add --force.")
    most = round(results_mb * 1e6) if with_results else None
    done = export_run(home(), run.id, path, replace=force, redacted=redact, results_bytes=most)
    holds = _WITHOUT_VALUES if redact else _WITH_VALUES
    say(f"flowdeck: {run.name} (#{run.id}) is in {path}{holds}")
    if with_results:
        say(f"flowdeck: {_said(done.kept, results_mb)}")
    if as_json:
        shape = {"file": str(path), "bytes": done.size, "run": run.id}
        kept = done.kept
        echo_json(
            [
                shape
                | {
                    "results": kept.count, "results_bytes": kept.bytes,
                    "left_out": {"too_big": kept.too_big, "gone": kept.gone},
                }
            ]
        )  # fmt: skip


def _said(kept: KeptFiles, most: float) -> str:
    """Say which kept results are in the archive, and why others are not."""
    one = "kept result is" if kept.count == 1 else "kept results are"
    said = f"{kept.count} {one} in it ({amounts.size(kept.bytes)})"
    if kept.too_big:
        said += f"; {kept.too_big} did not fit into {most:g} MB: --results-mb sets the bound"
    if kept.gone:
        said += f"; the files of {kept.gone} are gone or damaged"
    return f"{said}."


def _file_name(name: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80].strip("_")
    return safe or "run"
