"""``flowdeck retry``: run a flow again as it ran before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import (
    complete_run,
    detach_option,
    json_option,
    python_option,
    quiet_option,
    runner_opt_option,
)
from flowdeck_app.cli.output import say
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.retry_group import Repairing, retry_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_store.read.records import FlowRunRecord


@click.command("retry")
@click.argument("ref", metavar="RUN", required=False, shell_complete=complete_run)
@click.option(
    "--group",
    metavar="GROUP",
    help="Instead of RUN: the newest failed run of each flow in this group of `flowdeck errors`.",
)
@click.option(
    "--failed", is_flag=True, help="Take over what completed; run only the rest, and what needs it."
)
@click.option(
    "-n", "--dry-run", is_flag=True, help="With --failed: only say what would run again, and why."
)
@click.option(
    "--task",
    "force",
    multiple=True,
    metavar="NAME",
    help="Run this task (or task run) again, too; implies --failed.",
)
@click.option(
    "--ignore-code", is_flag=True, help="With --failed: also take over what other code computed."
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
@runner_opt_option
@click.option("--name", metavar="N", help="The new run's name (default: two random words).")
@click.option("-y", "--yes", is_flag=True, help="With --group: do not ask.")
@python_option
@detach_option
@quiet_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    ref: str | None,
    group: str | None,
    failed: bool,
    dry_run: bool,
    force: tuple[str, ...],
    ignore_code: bool,
    texts: tuple[str, ...],
    runner: str | None,
    options: tuple[str, ...],
    name: str | None,
    yes: bool,
    python: str | None,
    detach: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run the flow of an earlier run again, with its parameters, runner and tags.

    All of its tasks run again; those with a cache key take their cached results. With --failed,
    tasks that completed are not executed again if their results were kept (or are numbers, short
    texts and the like), their inputs are the same and their code was not changed since; what is
    reused is said first, with --dry-run for each task and why.

    \b
    Examples:
      flowdeck retry @last-failed -p limit=10
      flowdeck retry @last --failed
      flowdeck retry @last --task load --dry-run
      flowdeck retry --group @last
    """  # fmt: skip
    if group is not None or ref is None:
        other = [ref, force, ignore_code, texts, runner, options, name, python, quiet]
        _retry_group(ctx, group, other, Repairing(command, dry_run, detach, yes, as_json))
        return
    from flowdeck.runs.launch_spec import LaunchSpec
    from flowdeck_app.cli.environments import settle
    from flowdeck_app.cli.given import pairs
    from flowdeck_app.cli.retry_failed import RetryPlanning, check_ended, say_plan, show_plan
    from flowdeck_app.cli.running import carry_out, launch_detached
    from flowdeck_app.control.folders import go_to_folder_of, recorded_folder
    from flowdeck_app.control.launch import recorded_python, recorded_target

    failed = failed or bool(force)
    for given, flag in ((dry_run, "--dry-run"), (ignore_code, "--ignore-code")):
        if given and not failed:
            raise click.UsageError(f"{flag} goes with --failed: all tasks run again without it.")
    replaced, settings = pairs(texts, "-p"), pairs(options, "--runner-opt")
    with reading() as reader:
        run = reader.resolve_run(ref)
        python = python or recorded_python(reader, run)
    if failed:
        check_ended(run)
    if not detach:
        settle(recorded_target(run), python, recorded_folder(run))
    go_to_folder_of(run, lambda text: say(f"flowdeck: {text}"))
    planning = RetryPlanning(run, replaced, force, ignore_code)

    def asked() -> LaunchSpec:
        return LaunchSpec(
            target=_target(run),
            values=_values(run, replaced),
            texts=replaced,
            runner=runner or (run.runner if _is_runner(run.runner) else None),
            runner_options=settings,
            name=name or None,
            tags=run.ran_with,
            rerun_of=run.uid,
            reuse=failed,
            ignore_code=ignore_code,
            force=force,
            python=python,
        )

    if dry_run:
        show_plan(planning.plan(), as_json=as_json)
        _check(asked)
        return
    spec = asked()
    say(f"flowdeck: again {run.name} (#{run.id}): {spec.target}")
    if detach:
        if failed:
            say_plan(planning.plan())
        launch_detached(spec, as_json=as_json)
        return
    say_before = (lambda flow: say_plan(planning.plan(flow))) if failed else None
    ctx.exit(carry_out(spec, quiet=quiet, as_json=as_json, say_before=say_before))


def _retry_group(ctx: click.Context, group: str | None, given: list[Any], how: Repairing) -> None:
    """Repair an error.

    Raises:
        UsageError: no group is named, or something that it does not go with.
    """
    if group is None:
        raise click.UsageError("Missing argument 'RUN' (or --group GROUP).", ctx)
    if any(given):
        raise click.UsageError(
            "--group repeats runs as they were, each with --failed: only --dry-run, --yes, --detach "
            "and --json go with it."
        )
    retry_group(ctx, group, "", how)


def _check(asked: Callable[[], LaunchSpec]) -> None:
    """Say what would keep the run from starting: a forecast is what happens.

    Raises:
        TargetError, ConfigurationError, Trouble: something that was given now is wrong.
    """
    from flowdeck_app.cli.running import check_without_import

    try:
        spec = asked()
    except Trouble as trouble:  # the code is gone, say: what the record says is true all the same
        say(f"flowdeck: but it cannot start as it is: {trouble.message} {trouble.hint or ''}")
        return
    check_without_import(spec)


def _target(run: FlowRunRecord) -> str:
    """Return the target that started a run, or the one its flow's source gives.

    Raises:
        Trouble: the flow's file is not there any more, or was never known.
    """
    from flowdeck_app.control.launch import recorded_target

    target = recorded_target(run)
    if target is None:
        raise Trouble(
            f"the code of {run.name} (#{run.id}) is not known or gone: {run.flow_key}.",
            "`flowdeck run TARGET --params ...` runs it from where it is now.",
        )
    return target


def _values(run: FlowRunRecord, replaced: dict[str, str]) -> dict[str, Any]:
    """Return the recorded parameters that are not given anew.

    Raises:
        Trouble: some are hidden in the record, or recorded as a stand-in only.
    """
    from flowdeck_app.control.recorded import recorded_values

    found = recorded_values(run, replaced)
    if found.hidden:
        raise Trouble(
            f"the record hides what is secret in {', '.join(found.hidden)}.",
            f"give it again: {' '.join(f'-p {name}=...' for name in found.hidden)}",
        )
    for name, value in found.stand_ins:
        raise Trouble(
            f"the value of {name} is not in the record, only {json.dumps(value)[:100]}.",
            f"give it anew: -p {name}=...",
        )
    return found.values


def _is_runner(name: str | None) -> bool:
    from flowdeck.task_runners import runner_names

    return name in runner_names()
