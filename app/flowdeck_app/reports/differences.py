"""Two runs beside each other as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing import states
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.drawing.times import duration
from flowdeck_app.views.comparison import factor
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowdeck_app.drawing.cells import Cell
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.explain.changes import CodeChange
    from flowdeck_store.explain.differences import RunDifference
    from flowdeck_store.read.records import TaskRunRecord
    from flowdeck_store.read.summaries import TaskGroup

_WRONG = ("failed", "crashed", "cancelled", "not_ready")
#: Lines of one function's difference, and task runs, that are shown.
_LINES = 60
_CALLS = 40


def sections(found: RunDifference, look: Look) -> Iterator[tuple[str, list[str]]]:
    """Yield headings, each with its lines; those without lines have nothing to say."""
    yield "Runs", _runs(found, look)
    yield "Changed", _changed(found, look)
    for change in found.code:
        used = ", ".join(change.used_by)
        yield f"Code of {change.name}, used by {used}", _code(change, found, look)
    yield "Tasks", _tasks(found, look)
    yield "Task runs that ended or returned something else", _calls(found, look)


def _runs(found: RunDifference, look: Look) -> list[str]:
    rows: list[Row] = [
        [
            str(run.id),
            (run.name, "bold"),
            states.name_cell(run.code, run.named, look),
            look.duration_of(run),
            "" if cause is None else cause.headline,
        ]
        for run, cause in zip((found.before, found.now), found.causes, strict=True)
    ]
    columns = (
        TextColumn("Run", right=True), TextColumn("Name", least=10), TextColumn("State", least=9),
        TextColumn("Time", right=True), TextColumn("Cause", least=10),
    )  # fmt: skip
    return table(columns, rows, look)


def _changed(found: RunDifference, look: Look) -> list[str]:
    if not found.changed:
        return [] if found.code else ["Nothing that the record knows of."]
    rows: list[Row] = [
        [
            change.kind,
            ("" if change.name == change.kind else change.name, "bold"),
            look.dash if change.before is None else change.before,
            look.dash if change.now is None else change.now,
        ]
        for change in found.changed
    ]
    columns = (
        TextColumn("What"), TextColumn("Name", least=8), TextColumn("Before", least=8),
        TextColumn("Now", least=8),
    )  # fmt: skip
    return table(columns, rows, look)


def _code(change: CodeChange, found: RunDifference, look: Look) -> list[str]:
    if change.before is None and change.now is None:
        return ["Its text is not recorded."]
    lines = change.unified(f"run {found.before.id}", f"run {found.now.id}")
    colors = {"+": "green", "-": "red", "@": "cyan"}
    shown = [look.paint(line, colors.get(line[:1], "")) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"{look.ellipsis} {len(lines) - _LINES} more lines")
    return shown


def _tasks(found: RunDifference, look: Look) -> list[str]:
    rows: list[Row] = [
        [
            (task.task, "bold"),
            *_group(task.before, look),
            *_group(task.now, look),
            factor(task.before, task.now),
        ]
        for task in found.tasks
    ]
    columns = (
        TextColumn("Task", least=10), TextColumn("Before", right=True), TextColumn("p50", right=True),
        TextColumn("Now", right=True), TextColumn("p50", right=True), TextColumn("", least=4),
    )  # fmt: skip
    return table(columns, rows, look)


def _group(group: TaskGroup | None, look: Look) -> tuple[str, str]:
    if group is None:
        return look.dash, look.dash
    wrong = sum(count for name, count in zip(BUCKETS, group.counts, strict=True) if name in _WRONG)
    count = f"{group.n - wrong:,}/{group.n:,}" if wrong else f"{group.n:,}"
    return count, duration(group.p50, look.dash)


def _calls(found: RunDifference, look: Look) -> list[str]:
    rows: list[Row] = [
        [
            task.label,
            *_call(call.before, call.result_before, look),
            *_call(call.now, call.result_now, look),
        ]
        for call in found.task_runs[:_CALLS]
        if (task := call.now or call.before) is not None
    ]
    if not rows:
        return []
    columns = (
        TextColumn("Task run", least=10), TextColumn("Before", least=9),
        TextColumn("Returned", least=8), TextColumn("Now", least=9),
        TextColumn("Returned", least=8),
    )  # fmt: skip
    lines = table(columns, rows, look)
    left = len(found.task_runs) - _CALLS
    if left > 0 or not found.is_whole:
        lines.append(f"{look.ellipsis} and more: --json has them" if left > 0 else look.ellipsis)
    return lines


def _call(task: TaskRunRecord | None, preview: str | None, look: Look) -> tuple[Cell | str, str]:
    if task is None:
        return look.dash, ""
    return states.name_cell(task.code, task.named, look), preview or ""
