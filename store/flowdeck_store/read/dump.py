"""One run as text: JSON, JSON lines, CSV, or its log as plain lines.

Everything is written as it was recorded; a reader of the text must treat it as data, too.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from flowdeck_store import ids
from flowdeck_store.errors import NotFound
from flowdeck_store.read import json_shape
from flowdeck_store.states import CRASHED, FAILED
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import LogRecord

Format: TypeAlias = Literal["json", "jsonl", "csv", "text"]
Part: TypeAlias = Literal["all", "run", "tasks", "states", "logs"]
Json: TypeAlias = dict[str, Any]

FORMATS: Final[tuple[Format, ...]] = ("json", "jsonl", "csv", "text")
PARTS: Final[tuple[Part, ...]] = ("all", "run", "tasks", "states", "logs")
_PAGE: Final = 500
#: Name of each part in a JSON document and, in the singular, as the ``kind`` of a JSON line.
_KINDS: Final[dict[str, str]] = {
    "run": "flow_run",
    "tasks": "task_run",
    "states": "state",
    "logs": "log",
}


def dump(reader: Reader, run_id: int, fmt: Format = "jsonl", part: Part = "all") -> Iterator[str]:
    """Return the text of a run in pieces, so that a run of any size can be written to a file.

    Args:
        reader: of the store; it is used until the last piece was taken.
        run_id: number of the run (its subflow runs are runs of their own).
        fmt: ``json`` (one document), ``jsonl`` (an object a line, its ``kind`` first), ``csv``
            (of one part; what has parts itself is JSON in its cell), ``text`` (the log).
        part: ``all`` or one of ``run``, ``tasks``, ``states``, ``logs``.

    Raises:
        NotFound: there is no such run.
        ValueError: the format cannot show that part.
    """
    if fmt not in FORMATS or part not in PARTS:
        raise ValueError(f"formats are {', '.join(FORMATS)}, parts are {', '.join(PARTS)}")
    if fmt == "csv" and part == "all":
        raise ValueError("a CSV holds one table: run, tasks, states or logs")
    if fmt == "text" and part not in {"all", "logs"}:
        raise ValueError(f"as text there are only the logs of a run, not its {part}")
    if reader.run(run_id) is None:
        raise NotFound(f"There is no run {run_id} in {reader.paths.db}.")
    if fmt == "text":
        return (_line(record) for record in _log_records(reader, run_id))
    parts: list[str] = list(_KINDS) if part == "all" else [part]
    if fmt == "csv":
        return _csv(_ROWS[part](reader, run_id))
    return (_json if fmt == "json" else _jsonl)(reader, run_id, parts)


def _json(reader: Reader, run_id: int, parts: list[str]) -> Iterator[str]:
    opening = "{"
    for part in parts:
        rows = _ROWS[part](reader, run_id)
        yield f'{opening}"{_KINDS[part]}": ' if part == "run" else f'{opening}"{_KINDS[part]}s": ['
        separator = ""
        for row in rows:
            yield separator + json.dumps(row)
            separator = ",\n"
        if part != "run":
            yield "]"
        opening = ",\n"
    yield "}\n"


def _jsonl(reader: Reader, run_id: int, parts: list[str]) -> Iterator[str]:
    for part in parts:
        for row in _ROWS[part](reader, run_id):
            yield json.dumps({"kind": _KINDS[part], **row}) + "\n"


def _csv(rows: Iterator[Json]) -> Iterator[str]:
    header = True
    for row in rows:
        text = io.StringIO()
        writer = csv.writer(text)
        if header:
            writer.writerow(row)
            header = False
        writer.writerow([_cell(value) for value in row.values()])
        yield text.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _line(record: LogRecord) -> str:
    where = f"{record.run_id}.{record.task_no}" if record.task_no else str(record.run_id)
    level = logging.getLevelName(record.level)
    return f"{iso(record.us)} {level:<8} {where} {record.logger}: {record.message}\n"


def _run_rows(reader: Reader, run_id: int) -> Iterator[Json]:
    run = reader.run(run_id)
    if run is not None:
        ran_as = json_shape.provenance(reader.provenance(run_id), reader.code(run_id))
        yield {**json_shape.flow_run(run, reader.cause(run)), "provenance": ran_as}


def _task_rows(reader: Reader, run_id: int) -> Iterator[Json]:
    last = 0
    while page := reader.tasks(run_id, after_no=last, limit=_PAGE):
        nos = [task.no for task in page]
        results = reader.results_by_nos(run_id, nos)
        upstreams = reader.upstreams(run_id, nos)
        tags = reader.task_tags(run_id, nos)
        for task in page:
            failed = task.code in {FAILED, CRASHED}
            failure = reader.last_failure(run_id, task.no) if failed else None
            upstream = upstreams.get(task.no, ())
            yield json_shape.task_run(
                task, results.get(task.no), failure, upstream, tags.get(task.no, ()),
                reader.task_parameters(run_id, task.no),
            )  # fmt: skip
        last = nos[-1]


def _state_rows(reader: Reader, run_id: int) -> Iterator[Json]:
    after = (-1, 0)
    while page := reader.states_page(run_id, after=after, limit=_PAGE):
        for state in page:
            task = ids.ref(ids.task_run_id(run_id, state.task_no)) if state.task_no else None
            yield {**json_shape.state(state), "flow_run": run_id, "task_run": task}
        after = (page[-1].task_no, page[-1].seq)


def _log_rows(reader: Reader, run_id: int) -> Iterator[Json]:
    return (json_shape.log(record) for record in _log_records(reader, run_id))


def _log_records(reader: Reader, run_id: int) -> Iterator[LogRecord]:
    last = 0
    while page := reader.logs(run_id, after_seq=last, limit=_PAGE):
        yield from page
        last = page[-1].seq


_ROWS: Final[dict[str, Callable[[Reader, int], Iterator[Json]]]] = {
    "run": _run_rows,
    "tasks": _task_rows,
    "states": _state_rows,
    "logs": _log_rows,
}
