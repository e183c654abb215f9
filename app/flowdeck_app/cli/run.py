"""``flowdeck run``: execute a flow here, or start it detached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.common import complete_run, home, json_option, say
from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from flowdeck_app.cli.running import Order

RUNNERS = ("sequential", "concurrent", "dask", "ray")


def complete_target(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[click.shell_completion.CompletionItem]:
    """Complete a target: flows found by their files' text, and files."""
    from click.shell_completion import CompletionItem

    from flowdeck.discovery import discover
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
@click.option("-p", "--param", "texts", multiple=True, metavar="NAME=VALUE", help="A parameter.")
@click.option("--params", metavar="JSON|@FILE", help="Parameters as a JSON object; @- is stdin.")
@click.option(
    "--runner", metavar="R", help=f"{', '.join(RUNNERS)}: instead of the one in the code.",
    shell_complete=lambda *a: [r for r in RUNNERS if r.startswith(a[2])],
)  # fmt: skip
@click.option(
    "--runner-opt", "options", multiple=True, metavar="K=V", help="An option of the runner."
)
@click.option("--name", metavar="N", help="The run's name (default: two random words).")
@click.option("--tag", "tags", multiple=True, metavar="T", help="A tag; may be repeated.")
@click.option("-d", "--detach", is_flag=True, help="Return at once; the run goes on by itself.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@json_option
@click.option("--run-uid", hidden=True, help="The launched run to take over.")
@click.option("--rerun-of", hidden=True, shell_complete=complete_run)
@click.option("--reuse", is_flag=True, hidden=True, help="Run only what did not complete there.")
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
    detach: bool,
    quiet: bool,
    as_json: bool,
    run_uid: str | None,
    rerun_of: str | None,
    reuse: bool,
) -> None:
    """Run the flow TARGET: path/file.py:flow or package.module:flow.

    Shows progress on a terminal and log lines elsewhere. Ctrl-C once cancels, twice kills. With
    --json the run's object is written at the end and the flow's own prints go to stderr.

    \b
    Example:
      flowdeck run flows/etl.py:etl -p day=2026-11-22
      flowdeck run flows/etl.py:etl --runner dask --runner-opt 'cluster_kwargs={"n_workers": 4}'
    """
    from flowdeck_app.cli.given import json_object, pairs
    from flowdeck_app.cli.running import Order

    values, given = json_object(params), pairs(texts, "-p")
    if run_uid and params:
        values, given = _from_launch(params, values)
    order = Order(
        target=target,
        values=values,
        texts=given,
        runner=runner,
        options=pairs(options, "--runner-opt"),
        name=name or None,
        tags=tags,
        run_uid=run_uid,
        rerun_of=rerun_of,
        reuse=reuse,
    )
    twice = sorted(order.values.keys() & order.texts.keys())
    if twice:
        raise Trouble(f"{twice[0]} is given by --params and by -p.")
    if detach:
        launch_detached(order, as_json=as_json)
        return
    from flowdeck_app.cli.running import carry_out

    ctx.exit(carry_out(order, quiet=quiet, as_json=as_json))


def _from_launch(params: str, found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values and texts that a launcher left in a file of its own; remove the file."""
    from pathlib import Path

    Path(params.removeprefix("@")).unlink(missing_ok=True)
    return found["values"], found["texts"]


def launch_detached(order: Order, *, as_json: bool) -> None:
    """Start a run in its own session, and say which."""
    from flowdeck.launching import launch
    from flowdeck.settings import get_settings
    from flowdeck_app.cli.common import echo, echo_json
    from flowdeck_app.cli.running import check_without_import

    check_without_import(order)
    launched = launch(order.launch(), get_settings())
    if as_json:
        from flowdeck_store import json_shape
        from flowdeck_store.reader import Reader

        with Reader.open(home()) as reader:
            run = reader.run(launched.run_id)
            echo_json([json_shape.flow_run(run)] if run else [])
    else:
        echo([f"{launched.run_id} {launched.name}"])
    say(f"flowdeck: `flowdeck watch {launched.run_id}` shows it; it prints to {launched.log}.")
