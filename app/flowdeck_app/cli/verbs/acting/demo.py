"""``flowdeck demo``: a real flow to look at, without a file of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import json_option, quiet_option

_FILE: Final = "stdlib_census.py"
#: Runs of the demo carry it, so that they can be told and deleted.
TAG: Final = "demo"


@click.command("demo")
@click.option("--files", type=click.IntRange(1), default=400, show_default=True, metavar="N",
              help="How many source files at most.")  # fmt: skip
@quiet_option
@json_option
@click.pass_context
def command(ctx: click.Context, files: int, quiet: bool, as_json: bool) -> None:
    """Run a flow that comes with flowdeck: it counts what is in Python's standard library.

    Every source file is read by one task and measured by another. A few of the library's files are
    broken on purpose: their tasks fail, really, so there is something to look into. The run goes
    into the record like any other, with the tag "demo".

    \b
    Example:
      flowdeck demo
      flowdeck delete tag:demo
    """
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.cli.output import say
    from flowdeck_app.cli.running import carry_out

    spec = LaunchSpec(target=f"{census_file()}:census", values={"limit": files}, tags=(TAG,))
    code = carry_out(spec, quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        say(
            "flowdeck: what failed was broken on purpose, by the authors of the standard library.\n"
            "flowdeck: look into it with `flowdeck` (the app), `flowdeck why @last`, "
            "`flowdeck errors`; `flowdeck init` writes a flow of your own to start from."
        )
    ctx.exit(code)


def census_file() -> Path:
    """Return the file of the demo's flow: in an installed flowdeck it lies in the package, in a clone
    with the other examples.

    Raises:
        Trouble: the installation lacks it.
    """
    import flowdeck_app

    package = Path(flowdeck_app.__file__).parent
    for folder in (package / "demo", package.parents[1] / "examples"):
        if (folder / _FILE).is_file():
            return folder / _FILE
    raise Trouble(f"{_FILE} is missing in {package}: install flowdeck again.")
