"""``flowdeck show``: everything about one flow run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import json_option, run_argument
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import home, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.causes import Cause
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

FAILED_SHOWN = 10
#: Runs that repeat this one: the newest.
_AGAIN = 5


@click.command("show")
@run_argument("ref")
@json_option
def command(ref: str, as_json: bool) -> None:
    """Show one flow run: state, parameters, tasks, what failed, where to look next.

    \b
    Example:
      flowdeck show @last
    """
    from flowdeck_store.read import json_shape

    with reading() as reader:
        run = reader.resolve_run(ref)
        if as_json:
            ran_as = json_shape.provenance(reader.provenance(run.id), reader.code(run.id))
            echo_json([{**json_shape.flow_run(run, reader.cause(run)), "provenance": ran_as}])
            return
        seen = stream_look()
        echo(_page(reader, run, seen))


def _page(reader: Reader, run: FlowRunRecord, seen: Look) -> Iterator[str]:
    from flowdeck_app.drawing.tables import section
    from flowdeck_app.reports import failures, questions, runs, tasks

    yield runs.title(run, seen)
    yield ""
    before = reader.run_by_uid(run.rerun_of) if run.rerun_of else None
    after = [found for no in reader.reruns(run.uid)[-_AGAIN:] if (found := reader.run(no))]
    cause = reader.cause(run)
    yield from runs.run_facts(run, seen, cause=cause, before=before, after=after)
    asked = reader.questions(run.id)
    for question in reader.open_questions(run.id) if run.asks else []:
        yield ""
        yield questions.waiting_line(question, seen, room=seen.width)
    yield from section("Questions", [questions.asked_and_answered(q, seen) for q in asked], seen)
    yield from section("Notes", runs.notes(run, seen), seen)
    yield from section("Parameters", runs.parameters(run.params, seen), seen)
    yield from section("States", runs.history(reader.states(run.id), seen), seen)
    yield from section("Ran as", runs.ran_as(reader.provenance(run.id), seen), seen)
    groups = reader.task_groups(run.id)
    if groups:
        yield from section("Tasks", runs.group_table(groups, seen), seen)
    children = reader.children(run.id)
    yield from section("Subflows", [runs.title(child, seen) for child in children], seen)
    result = reader.result(run.id)
    if result is not None:
        yield from section("Result", tasks.result(result, seen), seen)
    yield from section("Failed task runs", list(_failed(reader, run, cause, seen)), seen)
    failure = reader.last_failure(run.id, 0)
    if failure is not None and failure.exception is not None:
        yield from section("Failure", failures.traceback(failure.exception, seen), seen)
    if failure is None:
        yield from _launch_log(run, seen)


def _failed(reader: Reader, run: FlowRunRecord, cause: Cause | None, seen: Look) -> Iterator[str]:
    from flowdeck_app.reports.tasks import task_table

    tasks = reader.tasks(run.id, "state:failed,crashed", limit=FAILED_SHOWN + 1)
    if tasks:
        yield from task_table(tasks[:FAILED_SHOWN], seen)
        if len(tasks) > FAILED_SHOWN:
            yield f"{seen.ellipsis} more: flowdeck tasks {run.id} state:failed,crashed"
        named = cause.task if cause and cause.task else tasks[0]
        yield f"flowdeck task {named.ref} shows the traceback"


def _launch_log(run: FlowRunRecord, seen: Look) -> Iterator[str]:
    """What a detached run printed, when it ended before a task of it ran."""
    if not run.is_final or run.n_tasks:
        return
    from flowdeck.launch.process import log_tail
    from flowdeck_app.drawing.tables import section
    from flowdeck_store.safe import one_line

    path, tail = log_tail(home(), run.uid)
    if tail:
        yield from section(f"Printed at its launch ({path})", [one_line(t) for t in tail], seen)
