"""``flowdeck run``: execute a flow here, or start it detached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import (
    detach_option,
    json_option,
    python_option,
    quiet_option,
    runner_opt_option,
)
from flowdeck_app.cli.record import home

if TYPE_CHECKING:
    from flowdeck.runs.launch_spec import LaunchSpec

RUNNERS = ("sequential", "concurrent", "process", "dask", "ray")


def complete_target(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete a target: flows found by their files' text, and files."""
    from click.shell_completion import CompletionItem

    from flowdeck.launch.discovery import discover
    from flowdeck.settings import get_settings

    try:
        flows = discover(get_settings().flow_paths)
    except Exception:  # a bad setting is no reason to disturb somebody's shell
        return []
    items = [CompletionItem(f.target, help=(f.doc or f.name).partition("\n")[0]) for f in flows]
    return [i for i in items if str(i.value).startswith(incomplete)] or [
        CompletionItem(incomplete, type="file")
    ]


@click.command("run")
@click.argument("target", shell_complete=complete_target)
@click.option(
    "-p",
    "--param",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter, also one of --params; cfg.retries=3 sets a part of one.",
)
@click.option(
    "--params",
    metavar="JSON|@FILE",
    help="Parameters as a JSON object, or a JSON, TOML or YAML file; @- is stdin.",
)
@click.option(
    "--runner", metavar="R", help=f"{', '.join(RUNNERS)}: instead of the one in the code.",
    shell_complete=lambda *a: [r for r in RUNNERS if r.startswith(a[2])],
)  # fmt: skip
@runner_opt_option
@click.option("--name", metavar="N", help="The run's name (default: two random words).")
@click.option("--tag", "tags", multiple=True, metavar="T", help="A tag, or several (a,b).")
@python_option
@detach_option
@click.option(
    "--watch",
    "watched",
    multiple=True,
    metavar="PATH",
    help="Run again whenever this file, or one in this folder, changes.",
)
@click.option(
    "--overlap",
    type=click.Choice(("skip", "queue", "cancel")),
    help="With --watch: what a change does while the run goes on (default: cancel).",
)
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=VALUES",
    help="A sweep: one run for each combination of values (0.1,0.01 or 2:6).",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="With --grid: so many runs at a time."
)
@quiet_option
@json_option
@click.option("--run-uid", hidden=True, help="The launched run to take over.")
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    texts: tuple[str, ...],
    params: str | None,
    runner: str | None,
    options: tuple[str, ...],
    name: str | None,
    tags: tuple[str, ...],
    python: str | None,
    detach: bool,
    watched: tuple[str, ...],
    overlap: str | None,
    grid: tuple[str, ...],
    jobs: int | None,
    quiet: bool,
    as_json: bool,
    run_uid: str | None,
) -> None:
    """Run the flow TARGET: path/file.py:flow or package.module:flow.

    TARGET may be a task, too: it runs alone, as a flow run of one task.

    Shows progress on a terminal and log lines elsewhere. Ctrl-C once cancels, twice kills. With
    --json the run's object is written at the end and the flow's own prints go to stderr.

    \b
    Example:
      flowdeck run flows/etl.py:etl -p day=2026-11-22
      flowdeck run flows/etl.py:etl --runner dask --runner-opt 'cluster_kwargs={"n_workers": 4}'
      flowdeck run flows/etl.py:etl --watch flows --watch data/days.csv
      flowdeck run flows/train.py:train --grid lr=0.1,0.01 --grid depth=2:6 --jobs 4
    """
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.cli.environments import settle
    from flowdeck_app.cli.given import json_object, pairs, tag_list
    from flowdeck_app.cli.running import carry_out, launch_detached
    from flowdeck_app.cli.starting.turns import wait_for_turn

    _check_ways(ctx, bool(watched), overlap, bool(grid), jobs, detach=detach)
    if not (detach or watched or grid):
        settle(target, python)
    spec = LaunchSpec(
        target=target,
        values=json_object(params),
        texts=pairs(texts, "-p"),
        runner=runner,
        runner_options=pairs(options, "--runner-opt"),
        name=name or None,
        tags=tag_list(tags),
        python=python,
    )
    if watched:
        from flowdeck_app.cli.starting.watching import watch

        ctx.exit(watch(spec, watched, overlap or "cancel", quiet=quiet, as_json=as_json))
    if grid:
        from flowdeck_app.cli.starting.sweeping import sweep

        ctx.exit(sweep(spec, grid, jobs or 1, quiet=quiet, as_json=as_json))
    if detach:
        launch_detached(spec, as_json=as_json)
        return
    if run_uid:
        spec = _launched(run_uid)
        if spec.after:
            wait_for_turn(spec)
    ctx.exit(carry_out(spec, quiet=quiet, as_json=as_json))


def _check_ways(
    ctx: click.Context, watched: bool, overlap: str | None, grid: bool, jobs: int | None, *,
    detach: bool,
) -> None:  # fmt: skip
    """Make sure that ways to run go with each other.

    Raises:
        UsageError: they do not.
    """
    for option, wanted, given in (("--overlap", "--watch", overlap is not None and not watched),
                                  ("--jobs", "--grid", jobs is not None and not grid)):  # fmt: skip
        if given:
            raise click.UsageError(f"{option} goes with {wanted}.", ctx)
    if watched and grid:
        raise click.UsageError("--watch and --grid do not go with each other.", ctx)
    if detach and (watched or grid):
        way = "--watch" if watched else "--grid"
        raise click.UsageError(f"{way} stays in this terminal: --detach does not go with it.", ctx)


def _launched(uid: str) -> LaunchSpec:
    """Return what the launcher of this process left for it.

    Raises:
        Trouble: there is nothing of the kind.
    """
    from flowdeck.launch.process import take_launched

    try:
        return take_launched(home(), uid)
    except OSError as error:
        raise Trouble(f"there is no launched run {uid}: {error.strerror or error}.") from None
