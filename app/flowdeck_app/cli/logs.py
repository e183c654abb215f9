"""``flowdeck logs``: log lines, also while they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowdeck_app.cli.common import complete_run, echo, echo_json, json_option, look, reading
from flowdeck_app.cli.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord, LogRecord

PAGE = 500


@click.command("logs")
@click.argument("ref", metavar="RUN|TASK_RUN", shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option(
    "-l", "--level", metavar="LEVEL", help="This level and above (INFO, WARNING, 30 ...)."
)
@click.option("-t", "--task", "task_name", metavar="T", help="Only of this task (fetch, fetch-3*).")
@click.option("-s", "--search", metavar="TEXT", help="Only lines that contain TEXT.")
@click.option("-n", "--tail", type=click.IntRange(min=0), help="Only the last N lines.")
@json_option
def command(
    ref: str,
    follow: bool,
    level: str | None,
    task_name: str | None,
    search: str | None,
    tail: int | None,
    as_json: bool,
) -> None:
    """Show the log lines of a flow run or of one task run, oldest first.

    \b
    Example:
      flowdeck logs @last -f --level WARNING
    """
    minimum = _level(level)
    with reading() as reader:
        run, no = resolve(reader, ref)
        query = None
        if task_name is not None and no is None:
            no, query = _of_task(reader, run, task_name)
        source = _Source(reader, run, no, query, minimum, search)
        for batch in source.batches(follow=follow, tail=tail):
            if as_json:
                from flowdeck_store import json_shape

                echo_json(json_shape.log(record) for record in batch)
            else:
                echo(source.speakers.lines(batch, look()))


def resolve(reader: Reader, ref: str) -> tuple[FlowRunRecord, int | None]:
    """Return the run, and the task run's number if the reference names a task run."""
    from flowdeck_store.errors import NotFound

    whole, dot, part = ref.rpartition(".")
    if "/" in ref or (dot and part.isdigit() and whole):
        task = reader.resolve_task(ref)
        run = reader.run(task.run_id)
        if run is None:
            raise NotFound(f"The flow run of {ref} was deleted.")
        return run, task.no
    return reader.resolve_run(ref), None


def _of_task(reader: Reader, run: FlowRunRecord, name: str) -> tuple[int | None, str | None]:
    """Return the number of the one task run that is meant, or a filter for several."""
    from flowdeck_store.errors import Ambiguous, NotFound
    from flowdeck_store.query import quote

    if "*" in name:
        return None, f"task:{name}"
    try:
        return reader.resolve_task(f"{run.id}/{name}").no, None
    except (NotFound, Ambiguous):
        return None, f"task:{quote(name)}"


def _level(text: str | None) -> int:
    if text is None:
        return 0
    from flowdeck_app.text.logs import LEVELS, level_number

    number = level_number(text)
    if number is None:
        raise Trouble(f"{text!r} is not a log level.", f"levels are {', '.join(LEVELS)}.")
    return number


class _Source:
    """The log lines that were asked for, in batches."""

    def __init__(
        self,
        reader: Reader,
        run: FlowRunRecord,
        no: int | None,
        query: str | None,
        minimum: int,
        search: str | None,
    ) -> None:
        from flowdeck_app.cli.following import Speakers

        self.speakers = Speakers(reader, run)
        self._reader, self._run, self._no = reader, run, no
        self._query, self._minimum, self._search = query, minimum, search
        self._after: int | None = None

    def batches(self, *, follow: bool, tail: int | None) -> Iterator[list[LogRecord]]:
        """Yield what is there, then (with ``follow``) what comes, until the run is over."""
        if tail is not None:
            last = self._read(limit=max(tail, 1), tail=True)
            self._after = last[-1].seq if last else 0
            yield last if tail else []
        else:
            yield from self._new()
        if not follow:
            return
        from flowdeck_app.cli.following import until_final

        for _ in until_final(self._reader, self._run):
            # The run is read before its lines, so a final run has no lines we have not seen.
            yield from self._new()

    def _new(self) -> Iterator[list[LogRecord]]:
        while True:
            batch = self._read(limit=PAGE, tail=False)
            if batch:
                self._after = batch[-1].seq
                yield batch
            if len(batch) < PAGE:
                return

    def _read(self, *, limit: int, tail: bool) -> list[LogRecord]:
        return self._reader.logs(
            self._run.id,
            self._no,
            query=self._query,
            min_level=self._minimum,
            text=self._search,
            after_seq=None if tail else self._after,
            limit=limit,
            tail=tail,
        )
