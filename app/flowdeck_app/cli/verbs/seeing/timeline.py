"""``flowdeck timeline``: when the task runs of a run waited and ran, and which decided its duration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.options import complete_run, json_option, tree_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.verbs.trees import show_timeline_tree
from flowdeck_store.events import now_us
from flowdeck_store.explain.critical_path import CriticalPath
from flowdeck_store.explain.flow_run import path_of

if TYPE_CHECKING:
    from flowdeck_app.views.timeline import Bar
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: Task runs that are read for the bars of workers.
_FOR_WORKERS = 20_000


@click.command("timeline")
@click.argument("ref", metavar="RUN", shell_complete=complete_run)
@click.option(
    "--by", type=click.Choice(["run", "task", "worker"]), default="run", show_default=True,
    help="A bar for each task run, for all runs of a task, for each worker.",
)  # fmt: skip
@click.option("--path", "only_path", is_flag=True, help="Only task runs of the critical path.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=40, show_default=True,
    help="The most bars to show; 0: all. With --json all, unless given.",
)  # fmt: skip
@tree_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, ref: str, by: str, only_path: bool, limit: int, whole: bool, as_json: bool
) -> None:
    """Show when the task runs of a flow run waited and ran. The critical path is marked: the chain
    of task runs that decided when the flow run ended.

    \b
    Example:
      flowdeck timeline @last --path
    """
    from flowdeck_app.reports import timeline as text

    is_default = ctx.get_parameter_source("limit") is click.core.ParameterSource.DEFAULT
    if whole and (by != "run" or only_path):
        raise Trouble("--tree shows task runs: it does not go with --by or --path.")
    with reading() as reader:
        run = reader.resolve_run(ref)
        now = now_us()
        path = path_of(reader, run, now) or CriticalPath((), run.created_us, now)
        links = [link.no for link in path.links]
        nos = links if only_path else [span.no for span in reader.task_spans(run.id)]
        if whole:
            most = 0 if as_json and is_default else limit
            show_timeline_tree(reader, run, path, most, as_json=as_json)
            return
        if as_json:
            chosen = nos if is_default or not limit else nos[:limit]
            echo_json(
                text.as_json(run.id, row, frozenset(links))
                for row in reader.timeline(run.id, chosen)
            )
            return
        bars, keys, count = _bars(reader, run, by, nos, links, limit, path)
    echo(text.timeline(bars, path, keys, count - len(bars), stream_look()))


def _bars(
    reader: Reader, run: FlowRunRecord, by: str, nos: list[int], links: list[int], limit: int,
    path: CriticalPath,
) -> tuple[list[Bar], frozenset[int | str], int]:  # fmt: skip
    """Return the bars to show, which are on the critical path, and how many there are."""
    from flowdeck_app.views.timeline import bar_of, bar_of_group, lanes
    from flowdeck_store.ids import task_run_id

    most = limit or None
    if by == "run":
        rows = reader.timeline(run.id, nos[:most])
        keys: frozenset[int | str] = frozenset(task_run_id(run.id, no) for no in links)
        return [bar_of(row, run.id) for row in rows], keys, len(nos)
    if by == "worker":
        bars = lanes(reader.timeline(run.id, nos[:_FOR_WORKERS]), path.start_us, path.end_us)
        return bars[:most], frozenset(), len(bars)
    bars = [bar_of_group(group) for group in reader.task_groups(run.id)]
    names = {task.task_key for task in reader.tasks_by_nos(run.id, links)}
    return bars[:most], frozenset(names), len(bars)
