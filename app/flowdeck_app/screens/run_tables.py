"""The tables of a run beside its tasks: groups by task, and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Unpack

from flowdeck_app.glyphs import BUCKET_KINDS, SIGNS
from flowdeck_app.text.times import size
from flowdeck_app.views.columns import Cell, Column
from flowdeck_app.views.progress import progress_content
from flowdeck_app.views.text import clean, number
from flowdeck_app.views.times import duration
from flowdeck_app.widgets.chips import chips
from flowdeck_app.widgets.strip_widget import joined
from flowdeck_app.widgets.table import TableView
from flowdeck_store.states import BUCKETS
from flowdeck_store.summaries import TaskGroup

if TYPE_CHECKING:
    from textual.content import Content

    from flowdeck_app.views.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.records import ResultRecord

#: The first that a group has any of is its sign.
_WORST: Final = (
    "failed", "crashed", "running", "cancelled", "not_ready", "pending", "scheduled", "completed",
    "cached",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A kept or shown result and whose it is."""

    record: ResultRecord
    name: str


def _sign(group: TaskGroup, look: Look) -> Cell:
    for bucket in _WORST:
        place = BUCKETS.index(bucket)
        if group.counts[place]:
            kind = BUCKET_KINDS[place]
            return look.symbols.of(kind), SIGNS[kind].style
    return look.symbols.dash, "$fd-faint"


def _task(group: TaskGroup, look: Look) -> Cell:
    return clean(group.task, 200, ascii_only=look.symbols.ascii), "$fd-strong"


def _runs(group: TaskGroup, look: Look) -> Cell:
    return number(group.n, look.symbols.group), ""


def _bar(group: TaskGroup, look: Look, cells: int) -> Content:
    return progress_content(group.counts, cells, look)


def _counts(group: TaskGroup, look: Look, cells: int) -> Content:
    return joined(chips(group.counts, look), cells, look.symbols.ellipsis)


def _nothing(row: object, look: Look) -> Cell:
    return "", ""


def _p50(group: TaskGroup, look: Look) -> Cell:
    return duration(group.p50, look.symbols.dash), "$fd-muted"


def _longest(group: TaskGroup, look: Look) -> Cell:
    return duration(group.longest, look.symbols.dash), ""


GROUP_COLUMNS: Final[tuple[Column[TaskGroup], ...]] = (
    Column("glyph", "", _sign, 1, gap=0),
    Column("task", "Task", _task, 14, grow=3, most=40, align="middle"),
    Column("runs", "Runs", _runs, 7, align="right"),
    Column("bar", "", _nothing, 12, grow=1, most=30, gap=2, drop=2, since=70, paint=_bar),
    Column("counts", "States", _nothing, 20, grow=3, gap=1, paint=_counts),
    Column("p50", "Median", _p50, 8, align="right", drop=1),
    Column("longest", "Longest", _longest, 8, align="right"),
)


def _name(row: ResultRow, look: Look) -> Cell:
    return clean(row.name, 200, ascii_only=look.symbols.ascii), "$fd-strong"


def _type(row: ResultRow, look: Look) -> Cell:
    return clean(row.record.type, 100, ascii_only=look.symbols.ascii), "$fd-muted"


def _size(row: ResultRow, look: Look) -> Cell:
    known = row.record.size
    return (size(known), "") if known is not None else (look.symbols.dash, "$fd-faint")


def _kept(row: ResultRow, look: Look) -> Cell:
    return ("yes", "$fd-completed") if row.record.location else ("no", "$fd-faint")


def _value(row: ResultRow, look: Look) -> Cell:
    signs = look.symbols
    return clean(row.record.preview or "", newline=signs.newline, ascii_only=signs.ascii), ""


RESULT_COLUMNS: Final[tuple[Column[ResultRow], ...]] = (
    Column("task", "Task", _name, 14, grow=2, most=40, align="middle", gap=0),
    Column("type", "Type", _type, 8, grow=1, most=20),
    Column("size", "Size", _size, 8, align="right", drop=2),
    Column("kept", "Kept", _kept, 4, drop=3),
    Column("value", "Value", _value, 12, grow=6),
)


class GroupTable(TableView[TaskGroup]):
    """The tasks of a run, one line a task."""

    DEFAULT_CSS = """
    GroupTable { height: 1fr; }
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(
            GROUP_COLUMNS,
            empty=("No tasks yet", "Groups appear with the first task"),
            marks=False,
            **names,
        )


class ResultTable(TableView[ResultRow]):
    """What the flow and its task runs returned."""

    DEFAULT_CSS = """
    ResultTable { height: 1fr; }
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(
            RESULT_COLUMNS,
            empty=("No results yet", "A result appears when a task completes"),
            marks=False,
            **names,
        )
