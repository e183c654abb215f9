"""A run with all subflow runs below it: its task runs, their bars, and its log as one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowdeck_app.cli.following import LogLines
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_store.ids import run_of, split, task_run_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.explain.critical_path import CriticalPath
    from flowdeck_store.query.language import Query
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, LogRecord
    from flowdeck_store.read.tree.runs import TaskTree

#: Cells of the column that says where a line of the log comes from.
_ORIGIN = 24


def show_task_tree(
    reader: Reader, run: FlowRunRecord, query: Query, limit: int, order: str, *, as_json: bool
) -> None:
    """Write the task runs of a run and of all runs below it.

    Args:
        reader: of the record.
        run: the run at the top.
        query: filters task runs.
        limit: the most task runs; 0: all.
        order: in which each run's task runs come.
        as_json: as objects with the labels that lead to their run.
    """
    tree = reader.task_tree(run.id, query, order)
    ids = tree.index.slice(0, limit or len(tree.index))
    if as_json:
        echo_json(_objects(reader, tree, ids))
        return
    if ids:
        from flowdeck_app.reports.tasks import task_table

        echo(task_table(reader.tasks_by_ids(ids), stream_look(), tree.stems))
    if len(tree.index) > len(ids):
        say(f"flowdeck: {len(ids)} of {len(tree.index)} task runs; --limit 0 shows all.")
    elif not ids:
        none = "has no task runs" if query.empty else "has no task run that matches"
        say(f"flowdeck: {run.name} {none}.")


def _objects(reader: Reader, tree: TaskTree, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    from flowdeck_store.explain.json_objects import task_objects

    for run_id, of_run in itertools.groupby(ids, key=run_of):
        path = list(tree.runs[run_id].path)
        for found in task_objects(reader, run_id, reader.tasks_by_ids(of_run)):
            yield {**found, "path": path}


def show_timeline_tree(
    reader: Reader, run: FlowRunRecord, path: CriticalPath, limit: int, *, as_json: bool
) -> None:
    """Write when the task runs of a run and of all runs below it waited and ran.

    Args:
        reader: of the record.
        run: the run at the top.
        path: its critical path.
        limit: the most bars; 0: all.
        as_json: as objects with the labels that lead to their run.
    """
    from flowdeck_app.reports import timeline as text
    from flowdeck_app.views.timeline import bar_of

    tree = reader.task_tree(run.id, None, "start")
    ids = tree.index.slice(0, limit or len(tree.index))
    on_path = frozenset(task_run_id(run.id, link.no) for link in path.links)
    objects, bars = [], []
    for run_id, of_run in itertools.groupby(ids, key=run_of):
        for row in reader.timeline(run_id, [split(id_)[1] for id_ in of_run]):
            id_ = task_run_id(run_id, row.no)
            marked = frozenset({row.no}) if id_ in on_path else frozenset()
            objects.append(
                {**text.as_json(run_id, row, marked), "path": list(tree.runs[run_id].path)}
            )
            bars.append(replace(bar_of(row, run_id), stem=tree.stems.get(id_, ())))
    if as_json:
        echo_json(objects)
    else:
        echo(text.timeline(bars, path, on_path, len(tree.index) - len(bars), stream_look()))


class TreeLogLines(LogLines):
    """The log lines of a run and of all runs below it as one log.

    Args:
        reader: of the record.
        run: the run at the top.
        query: a filter of log lines; ``None``: all.
        minimum: the least level.
        search: what lines must contain.
    """

    def __init__(
        self,
        reader: Reader,
        run: FlowRunRecord,
        query: str | None = None,
        minimum: int = 0,
        search: str | None = None,
    ) -> None:
        super().__init__(reader, run, None, query, minimum, search)
        self._runs = reader.run_tree(run.id)
        self._of_run = {run.id: LogLines(reader, run)}

    def as_json(self, record: LogRecord) -> dict[str, Any]:
        """Return a line with the labels that lead to its run."""
        return {**super().as_json(record), "path": list(self._runs[record.run_id].path)}

    def drawn(self, batch: Iterable[LogRecord], look: Look) -> Iterator[str]:
        """Yield a batch as text; before each line stands which subflow it comes from."""
        from flowdeck_app.drawing.cells import fit_middle
        from flowdeck_store.safe import one_line

        for run_id, records in itertools.groupby(batch, key=lambda record: record.run_id):
            names = " > ".join(one_line(name, 80) for name in self._runs[run_id].path)
            origin = look.paint(fit_middle(names, _ORIGIN, ellipsis=look.ellipsis), "dim")
            for line in self._lines_of(run_id).drawn(records, look):
                yield f"{origin} {line}"

    def _lines_of(self, run_id: int) -> LogLines:
        if run_id not in self._of_run:
            run = self._reader.run(run_id) or self._run
            self._of_run[run_id] = LogLines(self._reader, run)
        return self._of_run[run_id]

    def _read(self, *, limit: int, tail: bool) -> list[LogRecord]:
        while True:
            found = self._reader.tree_logs(
                [*self._runs],
                query=self._query,
                min_level=self._minimum,
                text=self._search,
                after_seq=None if tail else self._after,
                limit=limit,
                tail=tail,
            )
            now = self._reader.run_tree(self._run.id)
            if now.keys() == self._runs.keys():
                return found
            self._runs = now  # a subflow has begun meanwhile, whose lines may lie before the last
