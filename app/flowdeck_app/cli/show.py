"""``flowdeck show``: everything about one flow run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import (
    echo,
    echo_json,
    home,
    json_option,
    look,
    reading,
    run_argument,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowdeck_app.text.look import Look
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

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
    with reading() as reader:
        run = reader.resolve_run(ref)
        if as_json:
            from flowdeck_store import json_shape

            echo_json([json_shape.flow_run(run)])
            return
        seen = look()
        echo(_page(reader, run, seen))


def _page(reader: Reader, run: FlowRunRecord, seen: Look) -> Iterator[str]:
    from flowdeck_app.text import runs as text

    yield text.title(run, seen)
    yield ""
    before = reader.run_by_uid(run.rerun_of) if run.rerun_of else None
    after = [found for no in reader.reruns(run.uid)[-_AGAIN:] if (found := reader.run(no))]
    yield from text.run_facts(run, seen, before=before, after=after)
    yield from section("Parameters", text.parameters(run.params, seen), seen)
    yield from section("States", text.history(reader.states(run.id), seen), seen)
    groups = reader.task_groups(run.id)
    if groups:
        yield from section("Tasks", text.group_table(groups, seen), seen)
    children = reader.children(run.id)
    yield from section("Subflows", [text.title(child, seen) for child in children], seen)
    result = reader.result(run.id)
    if result is not None:
        from flowdeck_app.text.tasks import result as result_lines

        yield from section("Result", result_lines(result, seen), seen)
    yield from section("Failed task runs", list(_failed(reader, run, seen)), seen)
    failure = reader.last_failure(run.id, 0)
    if failure is not None and failure.exception is not None:
        from flowdeck_app.text.failures import traceback

        yield from section("Failure", traceback(failure.exception, seen), seen)
    if failure is None:
        yield from _launch_log(run, seen)


def section(title: str, lines: Sequence[str], seen: Look) -> Iterator[str]:
    """Yield a heading and its lines indented; nothing when there are none."""
    if lines:
        yield ""
        yield seen.paint(title, "bold")
        yield from (f"  {line}" if line else "" for line in lines)


def _failed(reader: Reader, run: FlowRunRecord, seen: Look) -> Iterator[str]:
    from flowdeck_app.text.tasks import task_table

    tasks = reader.tasks(run.id, "state:failed,crashed", limit=FAILED_SHOWN + 1)
    if tasks:
        yield from task_table(tasks[:FAILED_SHOWN], seen)
        if len(tasks) > FAILED_SHOWN:
            yield f"{seen.ellipsis} more: flowdeck tasks {run.id} state:failed,crashed"
        yield f"flowdeck task {tasks[0].ref} shows the traceback"


def _launch_log(run: FlowRunRecord, seen: Look) -> Iterator[str]:
    """What a detached run printed, when it ended before a task of it ran."""
    if not run.is_final or run.n_tasks:
        return
    from flowdeck.launching import log_tail
    from flowdeck_app.text.safe import one_line

    path, tail = log_tail(home(), run.uid)
    if tail:
        yield from section(f"Printed at its launch ({path})", [one_line(t) for t in tail], seen)
