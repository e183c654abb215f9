"""The tables of a run beside its tasks: groups by task, and results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Unpack

from textual import on

from flowdeck_app.drawing.amounts import number, size
from flowdeck_app.drawing.bars import progress_content
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.pieces import joined
from flowdeck_app.drawing.signs import BUCKET_KINDS, SIGNS, worst_of
from flowdeck_app.drawing.times import duration
from flowdeck_app.screens.parts.renewal import records_of
from flowdeck_app.sources import ListSource
from flowdeck_app.views.chips import chips
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.table import TableView
from flowdeck_store.ids import number_of
from flowdeck_store.read.summaries import TaskGroup
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from flowdeck_app.access import StoreAccess
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, ResultRecord

#: Results that are listed; more are reached through their tasks.
MOST_RESULTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A kept or shown result and whose it is."""

    record: ResultRecord
    name: str


def _sign(group: TaskGroup, look: Look) -> Cell:
    bucket = worst_of(group.counts)
    if bucket is None:
        return look.dash, "$fd-faint"
    kind = BUCKET_KINDS[BUCKETS.index(bucket)]
    return look.symbols.of(kind), SIGNS[kind].style


def _task(group: TaskGroup, look: Look) -> Cell:
    return clean(group.task, 200, ascii_only=look.symbols.ascii), "$fd-strong"


def _runs(group: TaskGroup, look: Look) -> Cell:
    return number(group.n, look.symbols.group), ""


def _bar(group: TaskGroup, look: Look, cells: int) -> Content:
    return progress_content(group.counts, cells, look)


def _counts(group: TaskGroup, look: Look, cells: int) -> Content:
    return joined(chips(group.counts, look), cells, look.ellipsis)


def _nothing(row: object, look: Look) -> Cell:
    return "", ""


def _p50(group: TaskGroup, look: Look) -> Cell:
    return duration(group.p50, look.dash), "$fd-muted"


def _longest(group: TaskGroup, look: Look) -> Cell:
    return duration(group.longest, look.dash), ""


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
    return (size(known), "") if known is not None else (look.dash, "$fd-faint")


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
            MemorySource(key=lambda group: group.task_key, text=lambda group: group.task),
            empty=("No tasks yet", "Groups appear with the first task"),
            marks=False,
            **names,
        )

    def show_groups(self, groups: Sequence[TaskGroup]) -> None:
        """Show the groups as they are now."""
        if isinstance(self.source, MemorySource):
            self.source.rows = groups
            self.reload()


class ResultTable(TableView[ResultRow]):
    """What the flow and its task runs returned.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    ResultTable { height: 1fr; }
    """

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(
            RESULT_COLUMNS,
            empty=("No results yet", "A result appears when a task completes"),
            marks=False,
            **names,
        )
        self.run_id = run_id
        self._own = "flow"
        self._read_by: StoreAccess | None = None

    def show_run(self, run: FlowRunRecord) -> None:
        """Call what the flow itself returned by the flow's name."""
        self._own = run.flow

    def renew(self, query: str) -> None:
        """Read the results anew; there is no filter."""
        access = records_of(self)
        if isinstance(self.source, ListSource) and access is self._read_by:
            self.reload()
            return
        self._read_by = access
        self.show(
            ListSource(
                records_of(self),
                self._read,
                key=lambda row: row.record.task,
                text=lambda row: f"{row.name} {row.record.type} {row.record.preview}",
            )
        )

    def focus_rows(self) -> None:
        """Put the focus on the results."""
        self.focus()

    def copy_of(self, row: ResultRow) -> tuple[str, str]:
        """Return the value, as far as it is kept as text."""
        return row.record.preview or "", "the value"

    def _read(self, reader: Reader) -> list[ResultRow]:
        records = reader.results(self.run_id, limit=MOST_RESULTS)
        nos = [number_of(record.task) for record in records]
        names = {task.no: task.label for task in reader.tasks_by_nos(self.run_id, nos)}
        return [
            ResultRow(record, names.get(no) or (self._own if no == 0 else str(no)))
            for record, no in zip(records, nos, strict=True)
        ]

    @on(Opened)
    def _result_opened(self, message: Opened) -> None:
        message.stop()
        if message.row is not None:
            self.app.open_task(self.run_id, number_of(message.row.record.task))
