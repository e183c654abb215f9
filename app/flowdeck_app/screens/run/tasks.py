"""The Tasks tab of a run: its task runs or its tasks, and beside them what there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual import on
from textual.containers import Horizontal, Vertical

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.renewal import records_of
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.panes import LANES, RunLog, TaskPicked, TimelinePane, TreeChoice
from flowdeck_app.screens.run.preview import TaskPreview
from flowdeck_app.screens.run.tables import GroupTable
from flowdeck_app.sources import TaskSource
from flowdeck_app.tree_sources import TaskTreeSource
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.lines.messages import Changed, Highlighted, Opened
from flowdeck_app.widgets.table import TableView
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store.ids import split

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual.app import ComposeResult
    from textual.geometry import Size

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord
    from flowdeck_store.read.summaries import TaskGroup

ORDER_WORDS: Final = {
    "problems": "problems, running, then start",
    "start": "start",
    "duration": "time",
    "name": "name",
    "number": "number",
}


class TasksPane(Living, Horizontal):
    """The table of task runs with its order; grouped by task on demand; a preview below it.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self.order = "problems"
        self._n_tasks = 0
        self._filter = ""
        self.below = TreeChoice()
        self._rows_of: tuple[object, ...] | None = None

    def compose(self) -> ComposeResult:
        """Yield tables and preview, and the log beside them."""
        with Vertical(id="tasks-left"):
            yield TimelinePane(self.run_id, LANES[1], id="mini-timeline")
            yield TaskTable(id="task-table", order=self.order)
            yield GroupTable(id="group-table")
            yield Line(id="task-status")
            yield TaskPreview(id="preview")
        with Vertical(id="side"):
            yield RunLog(self.run_id, id="side-log")

    @property
    def table(self) -> TaskTable:
        """The table of task runs."""
        return self.query_one("#task-table", TaskTable)

    @property
    def preview(self) -> TaskPreview:
        """What is known of the task run under the cursor."""
        return self.query_one("#preview", TaskPreview)

    @property
    def grouped(self) -> bool:
        """Whether the tasks are shown, not their runs."""
        return self.has_class("-grouped")

    @property
    def chosen(self) -> TaskRunRecord | None:
        """The task run under the cursor."""
        row: TaskRow | None = self.table.current
        return None if row is None or self.grouped else row.record

    def on_mount(self) -> None:
        """Take up what is remembered."""
        self.order = self.app.state.get("run.tasks", "order", default="problems")
        self.table.order = self.order
        self.query_one("#mini-timeline").can_focus = False

    # -- what the screen says --------------------------------------------------------------

    def show_run(self, run: FlowRunRecord) -> None:
        """Count from the start of the run."""
        zero = zero_us(run)
        self._n_tasks = run.n_tasks
        self.query_one("#mini-timeline", TimelinePane).show_run(run)
        self.query_one("#side-log", RunLog).start_us = zero
        self.preview.set_start(zero)
        self.say_status()

    def show_groups(self, groups: tuple[TaskGroup, ...]) -> None:
        """Show the tasks, where they are shown."""
        if self.grouped:
            self.query_one("#group-table", GroupTable).show_groups(groups)

    def set_grouped(self, grouped: bool, groups: tuple[TaskGroup, ...]) -> None:
        """Show the tasks, or their runs."""
        self.set_class(grouped, "-grouped")
        self.show_groups(groups)
        self.say_status()

    def renew(self, query: str) -> None:
        """Read anew what is shown, under a filter."""
        self._filter = query
        if self._rows_of != (query, self.order, self.below, records_of(self)):
            self.table.empty = (
                ("Nothing matches", "esc clears the filter")
                if query
                else ("No tasks yet", "The flow has not submitted a task")
            )
            self._show_source()
        else:
            self.table.reload()
        self.preview.reload()
        small = self.query_one("#mini-timeline", TimelinePane)
        if small.display:
            small.renew("")
        if self.query_one("#side").display:
            self.query_one("#side-log", RunLog).renew("")
        self.say_status()

    def _show_source(self, key: Hashable = None) -> None:
        self._rows_of = (self._filter, self.order, self.below, records_of(self))
        access, shown = records_of(self), (self.run_id, self._filter, self.order)
        if self.below.whole:
            self.table.show(TaskTreeSource(access, *shown, self.below.folded), key=key)
        else:
            self.table.show(TaskSource(access, *shown), key=key)

    def show_rows_at(self, key: Hashable) -> None:
        """Show the rows with the cursor on a task run."""
        self._show_source(key)

    def focus_rows(self) -> None:
        """Put the focus on the table that is shown."""
        self.query_one("#group-table" if self.grouped else "#task-table").focus()

    def make_room(self, size: Size) -> None:
        """Show the preview where there is room for it."""
        wanted = self.app.state.get("run", "preview", default=True)
        had, has = self.has_class("-preview"), wanted and room_for_preview(size)
        self.set_class(has, "-preview")
        if has and not had and self.is_mounted:  # there was no room for it: it has read nothing
            self.call_after_refresh(self.preview.reload)

    def toggle_preview(self) -> None:
        """Show or hide what is known of the task under the cursor."""
        self.toggle_class("-preview")
        shown = self.has_class("-preview")
        if room_for_preview(self.app.size):
            self.app.state.remember("run", "preview", value=shown)
        if shown:
            self.call_after_refresh(self.preview.reload)
        elif self.preview.has_pseudo_class("focus-within"):
            self.focus_rows()

    # -- its status line -------------------------------------------------------------------

    def say_status(self) -> None:
        """Say how the rows are sorted, filtered and grouped."""
        query = clean(self._filter, 200) or "none"
        left: list[tuple[str, str] | Piece] = [
            ("sort ", "$fd-faint"), Piece(ORDER_WORDS[self.order.removeprefix("-")], "$fd-muted", "sort"),
            ("   filter ", "$fd-faint"), Piece(query, "$fd-muted", "filter"),
            ("   group by task ", "$fd-faint"), Piece("on" if self.grouped else "off", "$fd-muted", "group"),
        ]  # fmt: skip
        said = ""
        if self.below.whole:
            left.insert(0, ("with subflows   ", "$fd-accent"))
            said = f"{number(self.table.count, self.app.symbols.group)} rows"
        elif self._filter and self.table.loaded:
            gap = self.app.symbols.group
            said = f"{number(self.table.count, gap)} of {number(self._n_tasks, gap)}"
        elif self.table.marks:
            said = f"{len(self.table.marks)} marked"
        self.query_one("#task-status", Line).say(left, [(said, "$fd-muted")] if said else [])

    # -- what its widgets say --------------------------------------------------------------

    @on(TableView.SortWanted, "#task-table")
    def _sort_wanted(self, message: TableView.SortWanted) -> None:
        self.order = message.order
        self.app.state.remember("run.tasks", "order", value=message.order)
        self.renew(self._filter)

    @on(Highlighted, "#task-table")
    def _highlighted(self, message: Highlighted) -> None:
        row = message.row
        self.preview.show_task(row.record if isinstance(row, TaskRow) else None)
        self.screen.refresh_bindings()

    @on(Changed)
    def _changed(self) -> None:
        self.say_status()

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        message.stop()
        row, key = message.row, message.key
        if not isinstance(row, TaskRow):
            if isinstance(key, int):  # its row is not at hand yet
                self.app.open_task(*split(key))
            else:
                self.post_message(TaskPicked(key))
        elif row.record.child_run is not None:
            self.app.open_run(row.record.child_run)
        else:
            self.app.open_task(row.record.run_id, row.record.no)

    @on(Line.Picked)
    def _status_picked(self, message: Line.Picked) -> None:
        if message.key == "sort":
            self.table.action_view_sort()


def room_for_preview(size: Size) -> bool:
    """Say whether a preview fits below the table."""
    return size.width >= 100 and size.height >= 28
