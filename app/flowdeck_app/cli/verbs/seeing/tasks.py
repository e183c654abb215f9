"""``flowdeck tasks``: the task runs of one flow run."""

from __future__ import annotations

import click

from flowdeck_app.cli.lists import paged
from flowdeck_app.cli.options import QueryCommand, json_option, run_argument, tree_option
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.verbs.trees import show_task_tree

SHOWN = 100


@click.command("tasks", cls=QueryCommand)
@run_argument("ref")
@click.argument("query", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0),
    help="How many task runs at most; 0: all (default: 100; with --json: all).",
)  # fmt: skip
@click.option(
    "--order",
    type=click.Choice(["number", "problems", "duration", "start", "name"]),
    default="number",
    help="What comes first (default: the order in which they were submitted).",
)
@tree_option
@json_option
def command(
    ref: str, query: tuple[str, ...], limit: int | None, order: str, whole: bool, as_json: bool
) -> None:
    """List the task runs of a flow run.

    QUERY filters: state:failed,notready task:fetch name:fetch-3* duration:>5s, and words that
    names must contain.

    \b
    Example:
      flowdeck tasks @last state:failed,crashed
    """
    from flowdeck_store.query.language import parse

    wanted = parse(" ".join(query), "tasks")
    if limit is None:
        limit = 0 if as_json else SHOWN
    with reading() as reader:
        run = reader.resolve_run(ref)
        if whole:
            show_task_tree(reader, run, wanted, limit, order, as_json=as_json)
            return
        tasks = paged(
            lambda size, after: reader.tasks(
                run.id, wanted, after_no=after, limit=size, order=order
            ),
            lambda task: task.no,
            limit,
        )
        if as_json:
            from flowdeck_store.explain.json_objects import task_objects

            echo_json(task_objects(reader, run.id, tasks))
            return
        shown = list(tasks)
        total = reader.count_tasks(run.id, wanted)
    if shown:
        from flowdeck_app.reports.tasks import task_table

        echo(task_table(shown, stream_look()))
    if total > len(shown):
        say(f"flowdeck: {len(shown)} of {total} task runs; --limit 0 shows all.")
    elif not shown:
        say(f"flowdeck: {'no task run matches' if query else f'{run.name} has no task runs'}.")
