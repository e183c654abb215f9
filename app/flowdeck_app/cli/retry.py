"""``flowdeck retry``: run a flow again as it ran before."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.common import json_option, reading, run_argument, say
from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from flowdeck_store.records import FlowRunRecord

#: What the record holds where JSON could not hold the value.
_PLACEHOLDER = re.compile(r"<[^<>\n]{1,100}>")


@click.command("retry")
@run_argument("ref")
@click.option(
    "--failed", is_flag=True, help="Take over what completed; run only the rest, and what needs it."
)
@click.option(
    "-n", "--dry-run", is_flag=True, help="With --failed: only say what would run again, and why."
)
@click.option(
    "-p",
    "--param",
    "texts",
    multiple=True,
    metavar="NAME=VALUE",
    help="Instead of the recorded value.",
)
@click.option("--runner", metavar="R", help="Instead of the recorded runner.")
@click.option(
    "--runner-opt", "options", multiple=True, metavar="K=V", help="An option of the runner."
)
@click.option("--name", metavar="N", help="The new run's name (default: two random words).")
@click.option("-d", "--detach", is_flag=True, help="Return at once; the run goes on by itself.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    ref: str,
    failed: bool,
    dry_run: bool,
    texts: tuple[str, ...],
    runner: str | None,
    options: tuple[str, ...],
    name: str | None,
    detach: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run the flow of an earlier run again, with its parameters, runner and tags.

    All of its tasks run again; those with a cache key take their cached results. With --failed,
    tasks that completed are not executed again if their results were kept (or are numbers, short
    texts and the like) and their inputs are the same; what is reused is said first.

    \b
    Examples:
      flowdeck retry @last-failed -p limit=10
      flowdeck retry @last --failed
    """  # fmt: skip
    from flowdeck_app.cli.given import pairs
    from flowdeck_app.cli.retry_failed import plan_of, say_plan, show_plan
    from flowdeck_app.cli.running import Order, carry_out

    if dry_run and not failed:
        raise click.UsageError("--dry-run goes with --failed: all tasks run again without it.")
    with reading() as reader:
        run = reader.resolve_run(ref)
        plan = plan_of(reader, run) if failed else None
    if plan is not None and dry_run:
        show_plan(plan, as_json=as_json)
        return
    replaced = pairs(texts, "-p")
    order = Order(
        target=_target(run),
        values=_values(run, replaced),
        texts=replaced,
        runner=runner or (run.runner if _is_runner(run.runner) else None),
        options=pairs(options, "--runner-opt"),
        name=name or None,
        tags=run.tags,
        rerun_of=run.uid,
        reuse=failed,
    )
    say(f"flowdeck: again {run.name} (#{run.id}): {order.target}")
    if plan is not None:
        say_plan(plan)
    if detach:
        from flowdeck_app.cli.run import launch_detached

        launch_detached(order, as_json=as_json)
    else:
        ctx.exit(carry_out(order, quiet=quiet, as_json=as_json))


def _target(run: FlowRunRecord) -> str:
    """Return the target that started a run, or the one its flow's source gives.

    Raises:
        Trouble: the flow's file is not there any more, or was never known.
    """
    told = run.info.get("target")
    if isinstance(told, str) and told:
        place, colon, flow = told.rpartition(":")
        if not place.endswith(".py"):
            return told  # a module: found wherever it is installed
        path = Path(str(run.info.get("cwd") or ""), place)
        if path.is_file():
            return f"{os.path.abspath(path)}{colon}{flow}"
    file, _, flow = run.flow_key.rpartition(":")
    if file.endswith(".py") and Path(file).is_file() and flow.isidentifier():
        return f"{file}:{flow}"
    raise Trouble(
        f"the code of {run.name} (#{run.id}) is not known or gone: {run.flow_key}.",
        "`flowdeck run TARGET --params ...` runs it from where it is now.",
    )


def _values(run: FlowRunRecord, replaced: dict[str, str]) -> dict[str, Any]:
    """Return the recorded parameters that are not given anew.

    Raises:
        Trouble: some are hidden in the record, or recorded as a placeholder only.
    """
    from flowdeck.redaction import has_hidden

    try:
        values = json.loads(run.params or "{}")
    except ValueError:
        values = {}
    kept = {name: value for name, value in values.items() if name not in replaced}
    hidden = [name for name, value in kept.items() if has_hidden(value)]
    if hidden:
        raise Trouble(
            f"the record hides what is secret in {', '.join(hidden)}.",
            f"give it again: {' '.join(f'-p {name}=...' for name in hidden)}",
        )
    for name, value in kept.items():
        if _has_placeholder(value):
            raise Trouble(
                f"the value of {name} is not in the record, only {json.dumps(value)[:100]}.",
                f"give it anew: -p {name}=...",
            )
    return kept


def _has_placeholder(value: Any) -> bool:
    if isinstance(value, str):
        return _PLACEHOLDER.fullmatch(value) is not None
    if isinstance(value, dict):
        return any(map(_has_placeholder, value.values()))
    return isinstance(value, list) and any(map(_has_placeholder, value))


def _is_runner(name: str | None) -> bool:
    from flowdeck.task_runners import runner_names

    return name in runner_names()
