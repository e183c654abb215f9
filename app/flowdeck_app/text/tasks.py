"""Task runs as text: one line each, or everything about one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.text import states, times
from flowdeck_app.text.runs import seconds
from flowdeck_app.text.safe import one_line
from flowdeck_app.text.tables import Cell, Column, facts, table
from flowdeck_app.views.text import cut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.text.look import Look
    from flowdeck_app.text.tables import Row
    from flowdeck_store.records import (
        AttemptRecord,
        ResultRecord,
        TaskRunRecord,
        UpstreamRecord,
    )

_COLUMNS = (
    Column("Task run", right=True),
    Column("Name", least=14, middle=True),
    Column("State", least=9),
    Column("Started"),
    Column("Time", right=True),
    Column("Try", right=True),
    Column("Worker", least=6),
    Column("Message", least=10),
)


def task_table(tasks: Sequence[TaskRunRecord], look: Look) -> list[str]:
    """Return a heading and one line a task run."""
    rows: list[Row] = [
        [
            task.ref,
            Cell(task.name, "bold"),
            states.state_cell(task.code, task.named, look),
            times.clock(task.started_us, look.now_us, look.dash),
            times.duration(seconds(task, look), look.dash),
            _tries(task, look),
            task.worker or "",
            task.message or "",
        ]
        for task in tasks
    ]
    return table(_COLUMNS, rows, look)


def task_title(task: TaskRunRecord, look: Look) -> str:
    """Return a task run in one line."""
    name = look.paint(one_line(task.name, 80), "bold")
    run = one_line(task.run_name, 80)
    time = times.duration(seconds(task, look), look.dash)
    return f"{states.state(task.code, task.named, look)}  {name}  of {run}  #{task.ref}  {time}"


def task_facts(task: TaskRunRecord, look: Look) -> list[str]:
    """Return everything a task run's own record says, one fact a line."""
    return facts(
        [
            ("message", one_line(task.message or "")),
            ("task", one_line(task.task, 200)),
            ("uid", task.uid),
            ("created", times.full(task.created_us)),
            ("started", times.full(task.started_us) if task.started_us else ""),
            ("ended", times.full(task.ended_us) if task.ended_us else ""),
            ("waited", _waited(task)),
            ("attempt", _tries(task, look)),
            ("worker", one_line(task.worker or "", 200)),
            ("map index", "" if task.map_index is None else str(task.map_index)),
            ("cache key", one_line(task.cache_key or "", 200)),
            ("subflow", f"#{task.child_run}" if task.child_run else ""),
        ],
        look,
    )


def inputs(
    parameters: Mapping[str, str], upstreams: Sequence[UpstreamRecord], look: Look
) -> list[str]:
    """Return what a task run was given: its parameters and which task runs they came from."""
    sources: dict[str, list[str]] = {}
    for edge in upstreams:
        if edge.name is None:
            source = f"#{edge.ref}, which was deleted"
        else:
            word = states.state(edge.code, edge.named, look)
            source = f"{one_line(edge.name, 80)} #{edge.ref} {word}"
        sources.setdefault(edge.param, []).append(source)
    said = []
    room = (look.width or 500) - 4
    for name in [*parameters, *(name for name in sources if name not in parameters)]:
        value = (
            cut(one_line(parameters[name]), room, ellipsis=look.ellipsis)
            if name in parameters
            else ""
        )
        said.append((one_line(name, 80), value or _came_from(sources[name])))
        if value and name in sources:
            said.append(("", look.paint(_came_from(sources[name]), "dim")))
    width = max((len(name) for name, _ in said), default=0)
    return [f"{name:<{width}}  {value}" for name, value in said]


def result(record: ResultRecord, look: Look) -> list[str]:
    """Return what a run returned, as recorded."""
    size = f", {times.size(record.size)} kept" if record.size is not None else ", not kept"
    room = (look.width or 2000) * 3
    shown = cut(one_line(record.preview or "", 4000), room, ellipsis=look.ellipsis)
    return [f"{one_line(record.type, 200)}{size}", *([f"  {shown}"] if shown else [])]


def _came_from(sources: Sequence[str]) -> str:
    more = f" and {len(sources) - 5} more" if len(sources) > 5 else ""
    return f"from {', '.join(sources[:5])}{more}"


def _tries(task: TaskRunRecord, look: Look) -> str:
    if task.started_us is None:
        return look.dash
    return f"{task.attempt}/{task.retries + 1}"


def _waited(task: TaskRunRecord) -> str:
    if task.started_us is None:
        return ""
    return times.duration((task.started_us - task.created_us) / times.SECOND_US)


def attempts(records: Sequence[AttemptRecord], look: Look) -> list[str]:
    """Return a task run's attempts, one a line."""
    said = []
    for record in records:
        end = look.now_us if record.ended_us is None else record.ended_us
        took = times.duration((end - record.started_us) / times.SECOND_US)
        word = states.state(record.code, record.named, look)
        message = cut(one_line(record.message or ""), look.width or 500, ellipsis=look.ellipsis)
        head = f"{record.attempt}  {times.clock_ms(record.started_us)}  {took:>8}"
        said.append(f"{head}  {word}  {look.paint(message, 'dim')}".rstrip())
    return said
