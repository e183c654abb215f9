"""``flowdeck logs``: log lines, also while they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.following import LogLines
from flowdeck_app.cli.options import complete_run, json_option, tree_option
from flowdeck_app.cli.output import echo, echo_json, stream_look
from flowdeck_app.cli.record import reading
from flowdeck_app.cli.selection import run_or_task
from flowdeck_app.cli.verbs.trees import TreeLogLines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, LogRecord


@click.command("logs")
@click.argument("ref", metavar="RUN|TASK_RUN", shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-l", "--level", metavar="LEVEL", help="This level and above (INFO, WARNING, 30 ...)."
)
@click.option("-t", "--task", "task_name", metavar="T", help="Only of this task (fetch, fetch-3*).")
@click.option("-s", "--search", metavar="TEXT", help="Only lines that contain TEXT.")
@click.option(
    "-n",
    "--tail",
    type=click.IntRange(min=0),
    help="Only the last N lines; 0: none that are there.",
)
@click.option("--mine", is_flag=True, help="Without the lines that the engine writes in every run.")
@click.option(
    "--patterns",
    is_flag=True,
    help="Lines that differ only in numbers as one, with how many there are.",
)
@tree_option
@json_option
def command(
    ref: str,
    follow: bool,
    level: str | None,
    task_name: str | None,
    search: str | None,
    tail: int | None,
    mine: bool,
    patterns: bool,
    whole: bool,
    as_json: bool,
) -> None:
    """Show the log lines of a flow run or of one task run, oldest first.

    \b
    Example:
      flowdeck logs @last -f --level WARNING
    """
    minimum = _level(level)
    if patterns and follow:
        raise Trouble("--patterns counts the lines that are there: it does not go with --follow.")
    with reading() as reader:
        run, no = run_or_task(reader, ref)
        query = None
        if task_name is not None and no is None and not whole:
            no, query = _of_task(reader, run, task_name)
        if whole and no is not None and task_name is None:
            raise Trouble(f"{ref} is a task run: --tree is for flow runs.")
        if whole:
            query = _any_task(task_name)
        if mine:
            query = f"{query or ''} by:mine"
        if whole:
            source: LogLines = TreeLogLines(reader, run, query, minimum, search)
        else:
            source = LogLines(reader, run, no, query, minimum, search)
        if patterns:
            show_patterns(source.batches(follow=False, tail=tail), as_json=as_json)
            return
        for batch in source.batches(follow=follow, tail=tail):
            if as_json:
                echo_json(map(source.as_json, batch))
            else:
                echo(source.drawn(batch, stream_look()))


def show_patterns(batches: Iterable[list[LogRecord]], *, as_json: bool) -> None:
    """Write the patterns of log lines, in the order of their first lines."""
    from flowdeck_app.reports.logs import pattern_lines, pattern_object
    from flowdeck_app.views.log.folds import LogPatterns

    found = LogPatterns()
    for batch in batches:
        found.add((x.seq, x.run_id, x.task_no, x.us, x.level, x.logger, x.message) for x in batch)
    if as_json:
        echo_json(map(pattern_object, found.groups))
    else:
        echo(pattern_lines(found.groups, stream_look()))


def _any_task(name: str | None) -> str | None:
    """Return a filter for the task runs of that name in any run."""
    from flowdeck_store.query.language import quote

    return None if name is None else f"task:{name if '*' in name else quote(name)}"


def _of_task(reader: Reader, run: FlowRunRecord, name: str) -> tuple[int | None, str | None]:
    """Return the number of the one task run that is meant, or a filter for several."""
    from flowdeck_store.errors import Ambiguous, NotFound
    from flowdeck_store.query.language import quote

    if "*" in name:
        return None, f"task:{name}"
    try:
        return reader.resolve_task(f"{run.id}/{name}").no, None
    except (NotFound, Ambiguous):
        return None, f"task:{quote(name)}"


def _level(text: str | None) -> int:
    if text is None:
        return 0
    from flowdeck_app.drawing.levels import NUMBERS, level_number

    number = level_number(text)
    if number is None:
        raise Trouble(f"{text!r} is not a log level.", f"levels are {', '.join(NUMBERS)}.")
    return number
