"""``flowdeck cancel``: ask a run to stop, or make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.following import until_final, wait_for
from flowdeck_app.cli.options import QueryCommand, complete_run, json_option
from flowdeck_app.cli.output import plural, say
from flowdeck_app.cli.record import home, look_after_dead, reading
from flowdeck_app.control.cancel import KillEnd, end_process, who
from flowdeck_store.record import control

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord


@click.command("cancel", cls=QueryCommand)
@click.argument(
    "words", metavar="RUN...|TASK_RUN|QUERY", nargs=-1, required=True, shell_complete=complete_run
)
@click.option("--kill", is_flag=True, help="End its process at once, whatever it is doing.")
@click.option("--wait", "wait", is_flag=True, help="Return only when the run is over.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be cancelled.")
@json_option
def command(words: tuple[str, ...], kill: bool, wait: bool, dry_run: bool, as_json: bool) -> None:
    """Cancel flow runs, or one task run: named ones, or all that go on and that a QUERY finds.

    Queued tasks are dropped, async tasks cancelled, threads asked to stop. What cannot be stopped
    goes on until it ends by itself; --kill ends the process.

    \b
    Examples:
      flowdeck cancel @last --wait
      flowdeck cancel flow:etl since:1d --dry-run
    """
    from flowdeck_app.cli.lists import show_runs

    with reading() as reader:
        chosen = _chosen(reader, words)
        if dry_run:
            live = [run for run, no in chosen if not run.is_final]
            show_runs(reader, live, as_json=as_json)
            say(f"flowdeck: would cancel {plural(len(live), 'run')}.")
            return
        if kill and any(no for _, no in chosen):
            run = next(run for run, no in chosen if no)
            raise Trouble(
                "--kill ends a process, not a task run.", f"`flowdeck cancel {run.id} --kill` does."
            )
        for run, no in chosen:
            if no is None:
                _cancel_run(reader, run, kill=kill, wait=wait and len(chosen) == 1)
            else:
                _cancel_task(reader, run, no, wait=wait)
        if wait and len(chosen) > 1:  # asked all before waiting for any
            for run, _ in chosen:
                _tell_end(wait_for(reader, run))
        if as_json:
            show_runs(reader, reader.runs_by_ids(run.id for run, _ in chosen), as_json=True)


def _chosen(reader: Reader, words: tuple[str, ...]) -> list[tuple[FlowRunRecord, int | None]]:
    from flowdeck_app.cli.selection import found_runs, is_query, run_or_task

    if not is_query(words):
        return [run_or_task(reader, word) for word in words]
    runs = [run for run in found_runs(reader, words, roots=True) if not run.is_final]
    if not runs:
        raise Trouble("no run that matches goes on.", "`flowdeck runs state:live` shows what does.")
    return [(run, None) for run in runs]


def _cancel_run(reader: Reader, run: FlowRunRecord, *, kill: bool, wait: bool) -> None:
    title = f"{run.name} (#{run.id})"
    if run.is_final:
        say(f"flowdeck: {title} is over already: {run.state}.")
        return
    control.request(home(), run.id, control.KILL if kill else control.CANCEL, by=who())
    say(f"flowdeck: asked {title} to {'end at once' if kill else 'cancel'}.")
    if kill:
        _make_sure(reader, run)
    elif wait:
        wait_for(reader, run)
    _tell_end(reader.run(run.id))


def _tell_end(run: FlowRunRecord | None) -> None:
    if run is not None and run.is_final:
        say(f"flowdeck: {run.name} (#{run.id}) is {run.state}.")


def _cancel_task(reader: Reader, run: FlowRunRecord, no: int, *, wait: bool) -> None:
    task = reader.task(run.id, no)
    title = f"{task.label if task else no} (#{run.id}.{no})"
    if run.is_final or (task is not None and task.ended_us is not None):
        state = task.state if task else run.state
        say(f"flowdeck: {title} is over already: {state}.")
        return
    control.request(home(), run.id, control.CANCEL, task_no=no, by=who())
    say(f"flowdeck: asked {title} to cancel.")
    if not wait:
        return
    for _ in until_final(reader, run):
        task = reader.task(run.id, no)
        if task is None or task.ended_us is not None:
            break
    if task is not None:
        say(f"flowdeck: {title} is {task.state}.")


def _make_sure(reader: Reader, run: FlowRunRecord) -> None:
    """Kill the process of a run that does not end by itself, and say so."""
    end, pid, host = end_process(reader, run.id, look_after_dead)
    said = {
        KillEnd.ELSEWHERE: f"it runs on {host} (pid {pid}) and does not answer.",
        KillEnd.UNSEEN: f"its process (pid {pid}) is not to be seen from here: not killed.",
        KillEnd.FORBIDDEN: f"its process (pid {pid}) is another user's: not killed.",
        KillEnd.KILLED: f"killed process {pid}.",
    }.get(end)
    if said:
        say(f"flowdeck: {said}")
