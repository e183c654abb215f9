"""``flowdeck init``: a small flow to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo_json, say

_TEXT: Final = '''\
"""Count the lines of the files in a folder: a first flow, to be changed into yours.

    flowdeck run {name}:count                    # here, with what each task does as it happens
    flowdeck run {name}:count -p pattern="*.md"  # parameters, checked against the annotations
    flowdeck                                     # the app: launch it, watch it, look into failures
    python {name}                                # flows stay plain functions
"""

from pathlib import Path

from flowdeck import flow, get_run_logger, task


# One call of a task is one task run: recorded, tried again when it fails, shown on its own.
@task(retries=2, retry_delay_seconds=1)
def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@flow
def count(folder: Path = Path("."), pattern: str = "*.py") -> int:
    """Count the lines of all files of a folder.

    Args:
        folder: where the files are
        pattern: which of them
    """
    logger = get_run_logger()  # its lines are kept with the run
    paths = sorted(folder.glob(pattern))
    logger.info("%d files match %s", len(paths), pattern)
    futures = lines.map(paths)  # one task run a file, side by side; nobody waits here yet
    total = sum(futures.result())  # waits, and raises what failed
    logger.info("%d lines in all", total)
    return total


if __name__ == "__main__":
    print(count())
'''


@click.command("init")
@click.argument("path", metavar="[FILE]", default="flows.py", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
def command(path: Path, force: bool, as_json: bool) -> None:
    """Write a small annotated flow into FILE (flows.py), ready to run.

    \b
    Example:
      flowdeck init
      flowdeck init pipelines/first.py
    """
    if path.suffix != ".py":
        raise Trouble(
            f"{path} is no Python file: name one, as `flowdeck init {path / 'flows.py'}`."
        )
    target = f"{path}:count"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(_TEXT.replace("{name}", path.as_posix()))
    except FileExistsError:
        raise Trouble(f"{path} is there already: name another file, or say --force.") from None
    except OSError as error:
        raise Trouble(f"{path} cannot be written: {error.strerror or error}.") from None
    if as_json:
        echo_json([{"file": str(path), "target": target}])
        return
    say(f"flowdeck: wrote {path}. Run it: flowdeck run {target}")
