"""Task runs as text: one line each, or everything about one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing import amounts, own_progress, states, times, usage
from flowdeck_app.drawing.cells import at_least, cut, width
from flowdeck_app.drawing.stems import stem_text
from flowdeck_app.drawing.tables import TextColumn, facts, table
from flowdeck_app.drawing.values import block, value_lines
from flowdeck_store.read.causes import plain
from flowdeck_store.safe import one_line
from flowdeck_store.states import StateType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.read.records import (
        AttemptRecord,
        ResultRecord,
        TaskRunRecord,
        UpstreamRecord,
    )
    from flowdeck_store.read.tree.runs import Stem

_COLUMNS = (
    TextColumn("Task run", right=True),
    TextColumn("Name", least=14, middle=True),
    TextColumn("State", least=9),
    TextColumn("Started"),
    TextColumn("Time", right=True),
    TextColumn("Try", right=True),
    TextColumn("Worker", least=6),
    TextColumn("Message", least=10),
)


def task_table(
    tasks: Sequence[TaskRunRecord], look: Look, stems: Mapping[int, Stem] | None = None
) -> list[str]:
    """Return a heading and one line a task run.

    Args:
        tasks: in the order shown.
        look: what the place can show.
        stems: where task runs lie in a tree, by their ids.
    """
    lies: Mapping[int, Stem] = {} if stems is None else stems
    rows: list[Row] = [
        [
            task.ref,
            (stem_text(lies.get(task.id, ()), look.symbols) + task.label, "bold"),
            states.name_cell(task.code, task.named, look),
            times.calendar(task.started_us, look.now_us, dash=look.dash),
            look.duration_of(task),
            _tries(task, look),
            task.worker or "",
            _so_far(task, look) or plain(task.message),
        ]
        for task in tasks
    ]
    return table(_COLUMNS, rows, look)


def task_title(task: TaskRunRecord, look: Look) -> str:
    """Return a task run in one line."""
    name = look.paint(one_line(task.label, 80), "bold")
    run = one_line(task.run_name, 80)
    time = look.duration_of(task)
    return (
        f"{states.painted_name(task.code, task.named, look)}  {name}  of {run}  #{task.ref}  {time}"
    )


def task_facts(task: TaskRunRecord, look: Look, tags: Sequence[str] = ()) -> list[str]:
    """Return everything a task run's own record says, one fact a line."""
    return facts(
        [
            ("message", one_line(plain(task.message))),
            ("progress", _progress(task, look)),
            ("task", one_line(task.task, 200)),
            ("uid", task.uid),
            ("created", times.full(task.created_us)),
            ("started", times.full(task.started_us) if task.started_us else ""),
            ("ended", times.full(task.ended_us) if task.ended_us else ""),
            ("waited", _waited(task)),
            ("attempt", _tries(task, look)),
            ("worker", one_line(task.worker or "", 200)),
            ("processor", usage.processor(task.usage)),
            ("memory", usage.memory(task.usage)),
            ("disk", usage.disk(task.usage)),
            ("tags", one_line(", ".join(tags), 500)),
            ("map index", "" if task.map_index is None else str(task.map_index)),
            ("cache key", one_line(task.cache_key or "", 200)),
            ("subflow", f"#{task.child_run}" if task.child_run else ""),
        ],
        look,
    )


def inputs(
    parameters: Mapping[str, str], upstreams: Sequence[UpstreamRecord], look: Look
) -> list[str]:
    """Return what a task run was given: its parameters and which task runs they came from.

    Args:
        parameters: recorded texts of them, by name.
        upstreams: task runs whose results were in them, or that were waited for.
        look: what the place can show.
    """
    sources: dict[str, list[str]] = {}
    for edge in upstreams:
        if edge.label is None:
            source = f"#{edge.ref}, which was deleted"
        else:
            word = states.painted_name(edge.code, edge.named, look)
            source = f"{one_line(edge.label, 80)} #{edge.ref} {word}"
        sources.setdefault(edge.param, []).append(source)
    said = []
    room = (look.width or 500) - 4
    for name in [*parameters, *(name for name in sources if name not in parameters)]:
        value = parameters.get(name, "")
        said.append((one_line(name, 80), value or _came_from(sources[name])))
        if value and name in sources:
            said.append(("", look.paint(_came_from(sources[name]), "dim")))
    widest = max((width(name) for name, _ in said), default=0)
    return [
        line
        for name, value in said
        for line in (
            block(f"{at_least(name, widest)}  ", value, room, look)
            if name
            else [f"{at_least(name, widest)}  {value}"]
        )
    ]


def result(record: ResultRecord, look: Look) -> list[str]:
    """Return what a run returned, as recorded."""
    size = f", {amounts.size(record.size)} kept" if record.size is not None else ", not kept"
    head = f"{one_line(record.type, 200)}{size}"
    if not record.preview:
        return [head]
    found = value_lines(record.preview)
    if len(found) == 1:
        room = (look.width or 2000) * 3
        return [head, f"  {cut(found[0], room, ellipsis=look.ellipsis)}"]
    return block(head, record.preview, (look.width or 2000) - 4, look)


def _came_from(sources: Sequence[str]) -> str:
    more = f" and {len(sources) - 5} more" if len(sources) > 5 else ""
    return f"from {', '.join(sources[:5])}{more}"


def _so_far(task: TaskRunRecord, look: Look) -> str:
    """How far a task says it is while it runs."""
    if (
        task.progress is None
        or task.ended_us is not None
        or task.state_type is not StateType.RUNNING
    ):
        return ""
    return own_progress.words(task.progress, look)


def _progress(task: TaskRunRecord, look: Look) -> str:
    if task.progress is None:
        return ""
    said = own_progress.words(task.progress, look)
    time = (
        "" if task.ended_us is not None else own_progress.left(task.progress, task.started_us, look)
    )
    return f"{said}  {time}".rstrip()


def _tries(task: TaskRunRecord, look: Look) -> str:
    if task.started_us is None:
        return look.dash
    return f"{task.attempt}/{task.retries + 1}"


def _waited(task: TaskRunRecord) -> str:
    if task.started_us is None:
        return ""
    return times.duration(times.between(task.created_us, task.started_us, task.started_us))


def attempts(records: Sequence[AttemptRecord], look: Look) -> list[str]:
    """Return a task run's attempts, one a line."""
    said = []
    for record in records:
        took = look.duration_of(record)
        word = states.painted_name(record.code, record.named, look)
        message = cut(one_line(plain(record.message)), look.width or 500, ellipsis=look.ellipsis)
        head = f"{record.attempt}  {times.clock(record.started_us, fraction=3)}  {took:>8}"
        said.append(f"{head}  {word}  {look.paint(message, 'dim')}".rstrip())
    return said
