"""``flowdeck task``: everything about one task run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.options import json_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import TaskRunRecord


@click.command("task")
@click.argument("ref", metavar="TASK_RUN")
@click.option("-a", "--all-frames", is_flag=True, help="Also frames of libraries.")
@click.option(
    "--logs", "log_count", type=click.IntRange(min=0), default=20, show_default=True,
    help="How many of its last log lines; 0: none.",
)  # fmt: skip
@json_option
def command(ref: str, all_frames: bool, log_count: int, as_json: bool) -> None:
    """Show one task run: states, inputs, attempts, result, traceback with locals, last logs.

    TASK_RUN is 1234.17, or RUN/NAME such as @last/fetch-3 (a unique prefix is enough).

    \b
    Example:
      flowdeck task @last/fetch-3
    """
    with reading() as reader:
        task = reader.resolve_task(ref)
        if as_json:
            from flowdeck_store.explain.json_objects import task_objects

            echo_json(task_objects(reader, task.run_id, [task]))
            return
        echo(_page(reader, task, stream_look(), all_frames, log_count))


def _page(
    reader: Reader, task: TaskRunRecord, seen: Look, all_frames: bool, log_count: int
) -> Iterator[str]:
    from flowdeck_app.drawing.tables import section
    from flowdeck_app.reports import failures, logs, runs, tasks

    run_id, no = task.run_id, task.no
    yield tasks.task_title(task, seen)
    yield ""
    tags = reader.task_tags(run_id, [no]).get(no, ())
    yield from tasks.task_facts(task, seen, tags)
    yield from section("States", runs.history(reader.states(run_id, no), seen), seen)
    upstream = reader.upstreams(run_id, [no]).get(no, [])
    given = tasks.inputs(reader.task_parameters(run_id, no), upstream, seen)
    yield from section("Inputs", given, seen)
    attempts = reader.attempts(run_id, no)
    if len(attempts) > 1:
        yield from section("Attempts", tasks.attempts(attempts, seen), seen)
    result = reader.result(run_id, no)
    if result is not None:
        yield from section("Result", tasks.result(result, seen), seen)
    failure = reader.last_failure(run_id, no)
    if failure is not None and failure.exception is not None:
        shown = failures.traceback(failure.exception, seen, every_frame=all_frames)
        yield from section(f"Failure of attempt {failure.attempt}", shown, seen)
    lines = reader.logs(run_id, no, limit=log_count, tail=True) if log_count else []
    speaker = logs.speaker(task.name, is_task=True)
    shown = [line for record in lines for line in logs.log_lines(record, speaker, seen)]
    yield from section("Last log lines", shown, seen)
