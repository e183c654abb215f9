"""What can be written of a run, under which name, and the text of a filtered part."""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.read import json_shape
from flowdeck_store.read.dump import Format, Part, dump
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_PAGE: Final = 500
_SUFFIX: Final[dict[str, str]] = {"json": "json", "jsonl": "jsonl", "csv": "csv", "text": "log"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to write a run: what the dialog says, and what it means."""

    label: str
    fmt: Format
    part: Part
    query: str = ""


def choices(part: Part, query: str = "") -> list[Choice]:
    """Return the ways to write the current view, then those for everything.

    Args:
        part: what the view shows: ``tasks``, ``logs`` or ``run``.
        query: its filter.
    """
    what = {"tasks": "The tasks", "logs": "The log", "run": "The run itself"}[part]
    shown = f"{what}, as filtered" if query else what
    found = [
        Choice(f"{shown}: JSON lines", "jsonl", part, query),
        Choice(f"{shown}: CSV", "csv", part, query),
        Choice(f"{shown}: JSON", "json", part, query),
    ]
    if part == "logs":
        found.insert(0, Choice(f"{shown}: plain text", "text", part, query))
    return [
        *found,
        Choice("Everything: JSON", "json", "all"),
        Choice("Everything: JSON lines", "jsonl", "all"),
        *([] if part == "logs" else [Choice("The log: plain text", "text", "logs")]),
    ]


def file_name(run: FlowRunRecord, choice: Choice) -> str:
    """Return the name of the file: ``brave-otter-tasks.csv``; safe whatever the run is called."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in run.name)[:60]
    part = "" if choice.part == "all" else f"-{choice.part}"
    if choice.fmt == "text":
        part = ""
    return f"{safe.strip('_') or f'run-{run.id}'}{part}.{_SUFFIX[choice.fmt]}"


def free_path(folder: Path, name: str) -> Path:
    """Return a path in ``folder`` that is not taken: ``name-2.csv`` if need be."""
    stem, _, suffix = name.rpartition(".")
    path, number = folder / name, 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.{suffix}", number + 1
    return path


def write(reader: Reader, run: FlowRunRecord, choice: Choice, folder: Path) -> Path:
    """Write a run, or a part of it, to a new file.

    Returns:
        Where it is.

    Raises:
        OSError: the file cannot be written.
        NotFound: the run is not in the record any more.
    """
    path = free_path(folder, file_name(run, choice))
    with path.open("x", encoding="utf-8", errors="surrogatepass", newline="") as file:
        for piece in text(reader, run.id, choice):
            file.write(piece)
    return path


def text(reader: Reader, run_id: int, choice: Choice) -> Iterator[str]:
    """Return the text in pieces."""
    if not choice.query:
        return dump(reader, run_id, choice.fmt, choice.part)
    if choice.fmt == "text":
        return (_log_line(row) for row in _logs(reader, run_id, choice.query))
    rows = _tasks(reader, run_id, choice.query) if choice.part == "tasks" else (
        json_shape.log(row) for row in _logs(reader, run_id, choice.query)
    )  # fmt: skip
    return {"csv": _csv, "json": _json, "jsonl": _jsonl}[choice.fmt](rows)


def _tasks(reader: Reader, run_id: int, query: str) -> Iterator[dict[str, Any]]:
    last: int | None = None
    while page := reader.tasks(run_id, query, after_no=last, limit=_PAGE):
        nos = [task.no for task in page]
        results, upstreams = reader.results_by_nos(run_id, nos), reader.upstreams(run_id, nos)
        for task in page:
            failure = reader.last_failure(run_id, task.no)
            upstream = upstreams.get(task.no, ())
            yield json_shape.task_run(task, results.get(task.no), failure, upstream)
        last = nos[-1]


def _logs(reader: Reader, run_id: int, query: str) -> Iterator[Any]:
    last = 0
    while page := reader.logs(run_id, query=query, after_seq=last, limit=_PAGE):
        yield from page
        last = page[-1].seq


def _log_line(row: Any) -> str:
    where = f"{row.run_id}.{row.task_no}" if row.task_no else str(row.run_id)
    level = logging.getLevelName(row.level)
    return f"{iso(row.us)} {level:<8} {where} {row.logger}: {row.message}\n"


def _jsonl(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(row) + "\n" for row in rows)


def _json(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    opening = "["
    for row in rows:
        yield opening + json.dumps(row)
        opening = ",\n"
    yield "[]\n" if opening == "[" else "]\n"


def _csv(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    header = True
    for row in rows:
        file = io.StringIO()
        writer = csv.writer(file)
        if header:
            writer.writerow(row)
            header = False
        writer.writerow(
            [json.dumps(cell) if isinstance(cell, (dict, list)) else cell for cell in row.values()]
        )
        yield file.getvalue()
