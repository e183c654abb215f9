"""``flowdeck debug``: one task run again, here and alone, with the debugger where it fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from flowdeck_app.cli.errors import INTERRUPTED, OK, RUN_FAILED, Trouble
from flowdeck_app.cli.options import json_option, python_option
from flowdeck_app.cli.output import echo, echo_json, say
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from flowdeck_app.control.debugging import DebugCase

#: Characters of what the task returned that are shown.
_SHOWN: Final = 500


@click.command("debug")
@click.argument("ref", metavar="TASK_RUN")
@click.option(
    "-p", "--param", "texts", multiple=True, metavar="NAME=JSON",
    help="An input instead of the recorded one, or one that cannot be restored.",
)  # fmt: skip
@click.option(
    "--recompute", is_flag=True,
    help="Run the task runs again whose results were not kept (with all that they do).",
)  # fmt: skip
@click.option("--step", is_flag=True, help="Stop at the first line of the task's function.")
@click.option("--no-run", is_flag=True, help="Only open a Python console with the inputs.")
@python_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    ref: str,
    texts: tuple[str, ...],
    recompute: bool,
    step: bool,
    no_run: bool,
    python: str | None,
    as_json: bool,
) -> None:
    """Run one task again, here and alone, with its recorded inputs; open the debugger if it fails.

    Its inputs are kept results, what the record shows all of, parameters of the flow, or given with
    -p; which come from where, and which cannot be had and why, is said first (--json: only that).
    Nothing is recorded; retries, time limit, cache and hooks are left out. The debugger is pdb, or
    the one that PYTHONBREAKPOINT names; it starts at the last line of your own code.

    \b
    Example:
      flowdeck debug @last-failed/load-
      flowdeck debug 12.7 --no-run
    """
    from flowdeck_app.cli.environments import settle
    from flowdeck_app.cli.given import pairs
    from flowdeck_app.cli.reporting import prints_to_stderr
    from flowdeck_app.control.debugging import prepared
    from flowdeck_app.control.folders import recorded_folder
    from flowdeck_app.control.launch import recorded_python, recorded_target

    given = pairs(texts, "-p")
    with reading() as reader:
        task = reader.resolve_task(ref)
        flow_run = reader.resolve_run(str(task.run_id))
        python = python or recorded_python(reader, flow_run)
    settle(recorded_target(flow_run), python, recorded_folder(flow_run))
    with reading() as reader, prints_to_stderr(as_json):
        run = reader.resolve_task(ref)
        case = prepared(
            reader, run, given, recompute=recompute, say=lambda text: say(f"flowdeck: {text}")
        )
    if as_json:
        echo_json([_object(case)])
        return
    _tell(case)
    ctx.exit(_console(case) if no_run else _run(case, step=step))


def _object(case: DebugCase) -> dict[str, Any]:
    from flowdeck.debugging.inputs import as_json

    return {
        "task_run": case.run.ref,
        "name": case.run.name,
        "label": case.run.label,
        "task": case.run.task,
        "state": case.run.state,
        "source": case.task.source,
        "code_changed": None if case.changed is None else list(case.changed),
        "inputs": [
            as_json(name, case.texts.get(name), found) for name, found in case.inputs.items()
        ],
    }


def _tell(case: DebugCase) -> None:
    """Say what is restored and how, what is not, and what changed since."""
    from flowdeck_app.reports.debugging import lines

    echo(lines(case.run, case.inputs, case.changed), sys.stderr)


def _run(case: DebugCase, *, step: bool) -> int:
    """Run the task, with the debugger where it fails, and return the exit code.

    Raises:
        Trouble: there are inputs that it cannot run without.
    """
    from flowdeck.debugging.debugger import Watched, chosen, from_user
    from flowdeck.debugging.execution import call_alone
    from flowdeck.debugging.recorded_inputs import unrestored, values
    from flowdeck.output.console import console
    from flowdeck.values.previews import preview

    lost = unrestored(case.inputs)
    if lost:
        names = ", ".join(name for name, _ in lost)
        raise Trouble(
            f"{case.run.label} cannot run without {names}.",
            f"`flowdeck debug {case.run.ref} --no-run` opens a console with what there is.",
        )
    watched = Watched(is_stepping=step)
    outcome = call_alone(case.task, values(case.inputs), watched)
    if isinstance(outcome.error, KeyboardInterrupt):
        return INTERRUPTED
    if watched.has_quit:
        say("flowdeck: left before it ended.")
        return RUN_FAILED
    if outcome.error is None:
        echo([f"It did not fail here. It returned {preview(outcome.value, _SHOWN)}"])
        return OK
    debugger = chosen()
    if debugger.remark:
        say(f"flowdeck: {debugger.remark}")
    console.flush()
    debugger.post_mortem(from_user(outcome.error.__traceback__))
    return RUN_FAILED


def _console(case: DebugCase) -> int:
    import code

    from flowdeck.record import Record

    with Record(home()) as record:
        names = {**_names(case), "flow_run": record.run(case.flow_run.id)}
        try:
            import readline  # noqa: F401 - gives input() its history
        except ImportError:
            pass
        banner = f"Python {sys.version.split()[0]}. Here are: {', '.join(sorted(names))}"
        code.interact(banner, local=names, exitmsg="")
    return OK


def _names(case: DebugCase) -> dict[str, Any]:
    """Return what the console has: inputs win over what is called like them."""
    from flowdeck.debugging.recorded_inputs import values

    inputs = values(case.inputs)
    return {"task": case.task, "failure": case.failure, "inputs": inputs, **inputs}
