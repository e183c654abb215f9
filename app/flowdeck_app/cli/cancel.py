"""``flowdeck cancel``: ask a run to stop, or make it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import complete_run, home, look_after_dead, reading, say
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
    from flowdeck_store import control

    with reading() as reader:
        run, no = resolve(reader, ref)
        title = f"{run.name} (#{run.id})"
        if run.is_final:
            say(f"flowdeck: {title} is over already: {run.state}.")
            return
        verb = "kill" if kill else "cancel"
        control.request(home(), run.id, verb, task_no=no or 0, by=_who())
        what = f"task run {ref} of {title}" if no else title
        say(f"flowdeck: asked {what} to {'end at once' if kill else 'cancel'}.")
        if kill:
            _make_sure(reader, run)
        elif wait:
            _wait(reader, run, None)
        last = reader.run(run.id)
    if last is not None and last.is_final:
        say(f"flowdeck: {title} is {last.state}.")


def _who() -> str:
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the system's list (containers)
        user = str(os.getuid())
    return f"{user} (pid {os.getpid()} on {host_name()})"


def _wait(reader: Reader, run: FlowRunRecord, seconds: float | None) -> bool:
    from flowdeck_app.cli.following import wait_for

    last = wait_for(reader, run, seconds)
    return last is None or last.is_final


def _make_sure(reader: Reader, run: FlowRunRecord) -> None:
    """Kill the process of a run that does not end by itself, if it is on this machine."""
    if _wait(reader, run, KILL_AFTER):
        return
    fresh = reader.run(run.id)
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
    _wait(reader, fresh, KILL_AFTER)
