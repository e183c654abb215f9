"""``flowdeck cancel``: ask a run to stop, or make it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import complete_run, home, look_after_dead, reading, say
from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.following import until_final, wait_for
from flowdeck_store import control
from flowdeck_store.identity import host_name

if TYPE_CHECKING:
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

KILL_AFTER = 3.0  # seconds the process gets to end by itself


@click.command("cancel")
@click.argument("ref", metavar="RUN|TASK_RUN", shell_complete=complete_run)
@click.option("--kill", is_flag=True, help="End its process at once, whatever it is doing.")
@click.option("--wait", "wait", is_flag=True, help="Return only when the run is over.")
def command(ref: str, kill: bool, wait: bool) -> None:
    """Cancel a flow run or one task run.

    Queued tasks are dropped, async tasks cancelled, threads asked to stop. What cannot be stopped
    goes on until it ends by itself; --kill ends the process.

    \b
    Example:
      flowdeck cancel @last --wait
    """
    from flowdeck_app.cli.logs import resolve

    with reading() as reader:
        run, no = resolve(reader, ref)
        if no is None:
            _cancel_run(reader, run, kill=kill, wait=wait)
        elif kill:
            raise Trouble(
                "--kill ends a process, not a task run.", f"`flowdeck cancel {run.id} --kill` does."
            )
        else:
            _cancel_task(reader, run, no, wait=wait)


def _cancel_run(reader: Reader, run: FlowRunRecord, *, kill: bool, wait: bool) -> None:
    title = f"{run.name} (#{run.id})"
    if run.is_final:
        say(f"flowdeck: {title} is over already: {run.state}.")
        return
    control.request(home(), run.id, "kill" if kill else "cancel", by=_who())
    say(f"flowdeck: asked {title} to {'end at once' if kill else 'cancel'}.")
    if kill:
        _make_sure(reader, run)
    elif wait:
        wait_for(reader, run)
    last = reader.run(run.id)
    if last is not None and last.is_final:
        say(f"flowdeck: {title} is {last.state}.")


def _cancel_task(reader: Reader, run: FlowRunRecord, no: int, *, wait: bool) -> None:
    task = reader.task(run.id, no)
    title = f"{task.name if task else no} (#{run.id}.{no})"
    if run.is_final or (task is not None and task.ended_us is not None):
        state = task.state if task else run.state
        say(f"flowdeck: {title} is over already: {state}.")
        return
    control.request(home(), run.id, "cancel", task_no=no, by=_who())
    say(f"flowdeck: asked {title} to cancel.")
    if not wait:
        return
    for _ in until_final(reader, run):
        task = reader.task(run.id, no)
        if task is None or task.ended_us is not None:
            break
    if task is not None:
        say(f"flowdeck: {title} is {task.state}.")


def _who() -> str:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the system's list (containers)
        user = str(os.getuid())
    return f"{user} (pid {os.getpid()} on {host_name()})"


def _make_sure(reader: Reader, run: FlowRunRecord) -> None:
    """Kill the process of a run that does not end by itself, if it is on this machine."""
    fresh = wait_for(reader, run, KILL_AFTER)
    if fresh is None or fresh.pid is None or fresh.is_final:
        return
    if fresh.host not in {None, host_name()}:
        say(f"flowdeck: it runs on {fresh.host} (pid {fresh.pid}) and does not answer.")
        return
    look_after_dead()  # a process that is gone is no target: its number may be another's by now
    fresh = reader.run(run.id)
    if fresh is None or fresh.is_final or fresh.pid is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(fresh.pid, signal.SIGKILL)
        say(f"flowdeck: killed process {fresh.pid}.")
    wait_for(reader, fresh, KILL_AFTER)
