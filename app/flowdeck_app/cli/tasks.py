"""``flowdeck tasks``: the task runs of one flow run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flowdeck_app.cli.common import (
    QueryCommand,
    echo,
    echo_json,
    json_option,
    look,
    reading,
    run_argument,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.query import Query
    from flowdeck_store.reader import Reader
    from flowdeck_store.records import TaskRunRecord

PAGE = 200


@click.command("tasks", cls=QueryCommand)
@run_argument("ref")
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=100, show_default=True,
    help="How many task runs at most; 0: all.",
)  # fmt: skip
@click.option(
    "--order",
    type=click.Choice(["number", "problems", "duration", "start", "name"]),
    default="number",
    help="What comes first (default: the order in which they were submitted).",
)
@json_option
def command(ref: str, query: tuple[str, ...], limit: int, order: str, as_json: bool) -> None:
    """List the task runs of a flow run.

    QUERY filters: state:failed,notready task:fetch name:fetch-3* duration:>5s, and words that
    names must contain.

    \b
    Example:
      flowdeck tasks @last state:failed,crashed
    """
    from flowdeck_store.query import parse

    wanted = parse(" ".join(query), "tasks")
    with reading() as reader:
        run = reader.resolve_run(ref)
        tasks = _pages(reader, run.id, wanted, limit, order)
        if as_json:
            echo_json(_objects(reader, run.id, tasks))
            return
        shown = list(tasks)
        total = reader.count_tasks(run.id, wanted)
    if shown:
        from flowdeck_app.text.tasks import task_table

        echo(task_table(shown, look()))
    if total > len(shown):
        say(f"flowdeck: {len(shown)} of {total} task runs; --limit 0 shows all.")
    elif not shown:
        say(f"flowdeck: {'no task run matches' if query else f'{run.name} has no task runs'}.")


def _pages(
    reader: Reader, run_id: int, query: Query, limit: int, order: str
) -> Iterator[TaskRunRecord]:
    after: int | None = None
    left = limit or None
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = reader.tasks(run_id, query, after_no=after, limit=size, order=order)
        yield from page
        if len(page) < size:
            return
        after = page[-1].no
        left = None if left is None else left - size


def _objects(
    reader: Reader, run_id: int, tasks: Iterator[TaskRunRecord]
) -> Iterator[dict[str, Any]]:
    batch: list[TaskRunRecord] = []
    for task in tasks:
        batch.append(task)
        if len(batch) == PAGE:
            yield from (task_object(reader, item) for item in batch)
            batch.clear()
    yield from (task_object(reader, item) for item in batch)


def task_object(reader: Reader, task: TaskRunRecord) -> dict[str, Any]:
    """Return a task run as ``--json`` shows it, with its result, failure and upstream."""
    from flowdeck_store import json_shape

    upstream = reader.upstreams(task.run_id, [task.no]).get(task.no, [])
    return json_shape.task_run(
        task,
        result=reader.result(task.run_id, task.no),
        failure=reader.last_failure(task.run_id, task.no),
        upstream=upstream,
    )
