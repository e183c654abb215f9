"""The screen of one flow run: how far it is, its tasks over time, its log and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher

from flowdeck_app.actions import bindings
from flowdeck_app.rows import TaskRow
from flowdeck_app.screens.headline import Headline
from flowdeck_app.screens.run_actions import RunActions
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.run_preview import TaskPreview
from flowdeck_app.screens.run_strips import Line
from flowdeck_app.screens.run_tables import GroupTable, ResultRow, ResultTable
from flowdeck_app.screens.run_tabs import LANES, TABS
from flowdeck_app.views.logs import LEVELS
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.graph import GraphView
from flowdeck_app.widgets.line_messages import Changed, Highlighted, Opened
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.progress import ProgressLine
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.table import TableView
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store.records import LogRecord
from flowdeck_store.summaries import TaskGroup

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType


class RunScreen(RunActions):
    """A flow run, live while it goes on."""

    AUTO_FOCUS = ""
    CSS_PATH = "run.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "go.next_tab", "go.previous_tab", "go.next_failure", "go.error",
            "run.again", "run.from_failed", "run.cancel", "run.cancel_task",
            "find.filter", "find.problems",
            "view.preview", "view.group", "view.more", "view.less", "view.times",
            "take.copy", "take.markdown", "take.export",
        )
    ]  # fmt: skip

    def compose_content(self) -> ComposeResult:
        """Yield header, tabs and panes."""
        yield ProgressLine(id="run-progress")
        with Horizontal(id="run-counts"):
            yield StateChips(id="run-chips")
            yield Line(id="run-figures")
        yield Headline(id="run-trouble")
        yield TabStrip(TABS, id="run-tabs")
        yield QueryBar("tasks", "state:failed task:fetch* duration:>5s text", id="task-query")
        yield QueryBar("logs", "level:warning logger:x text", id="log-query")
        with ContentSwitcher(initial="tasks", id="run-panes"):
            with Horizontal(id="tasks"):
                with Vertical(id="tasks-left"):
                    yield Timeline(id="mini-timeline")
                    yield TaskTable(id="task-table", order=self.task_order)
                    yield GroupTable(id="group-table")
                    yield Line(id="task-status")
                    yield TaskPreview(id="preview")
                with Vertical(id="side"):
                    yield LogView(id="side-log")
            yield Timeline(id="timeline")
            yield GraphView(id="graph")
            with Vertical(id="logs"):
                yield LogView(id="run-log")
                yield Line(id="log-status")
            yield ResultTable(id="results")
            yield PanelView(id="params", empty=("No parameters", ""))

    def on_mount(self) -> None:
        """Take up what is remembered, focus the tasks."""
        state = self.app.state
        self.task_order = state.get("run.tasks", "order", default="problems")
        self.table.order = self.task_order
        self.query_one("#run-log", LogView).wrapped = state.get("run.log", "wrap", default=False)
        self.query_one("#mini-timeline").can_focus = False
        self.query_one("#run-chips").can_focus = True
        self.set_interval(1.0, self.tick)
        self.focus_tab()

    def on_screen_suspend(self) -> None:
        """Nobody watches the run any more."""
        self.app.watch_closely(False)

    def on_resize(self, event: events.Resize) -> None:
        """Choose which panes there is room for."""
        super().on_resize(event)
        width, height = event.size
        self.set_class(height < 30, "-low")
        self.set_class(height >= 40, "-roomy")
        wanted = self.app.state.get("run", "preview", default=True)
        self.set_class(wanted and width >= 100 and height >= 28, "-preview")

    def reload(self) -> None:
        """Ask for the run and for what the present tab shows."""
        self.reload_header()
        self.show_tab()

    # -- what the widgets say --------------------------------------------------------------

    @on(TabStrip.Chosen, "#run-tabs")
    def _tab_chosen(self, message: TabStrip.Chosen) -> None:
        self.query_one("#run-panes", ContentSwitcher).current = message.key
        self.call_after_refresh(self._tab_shown)

    def _tab_shown(self) -> None:
        self.show_tab()
        self.say_status()
        self.focus_tab()
        self.refresh_bindings()

    @on(StateChips.Chosen)
    def _chip_chosen(self, message: StateChips.Chosen) -> None:
        self.bucket = message.bucket
        if self.tab not in {"tasks", "timeline"}:
            self.query_one("#run-tabs", TabStrip).choose("tasks")
        self.refilter()

    @on(QueryBar.Changed)
    def _query_changed(self) -> None:
        self.refilter()

    @on(QueryBar.Done)
    def _query_done(self) -> None:
        self.focus_tab()

    @on(TableView.SortWanted)
    def _sort_wanted(self, message: TableView.SortWanted) -> None:
        if isinstance(message.table, TaskTable):
            self.task_order = message.order
            self.app.state.put("run.tasks", "order", value=message.order)
            self.refilter()

    @on(Highlighted)
    def _highlighted(self, message: Highlighted) -> None:
        if message.view is self.table:
            row = message.row
            self.preview.show_task(row.record if isinstance(row, TaskRow) else None)
            self.refresh_bindings()

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        view = message.view
        if isinstance(view, LogView):
            self.need_names()
            if view.id == "run-log":
                self.app.state.put("run.log", "wrap", value=view.wrapped)
        if isinstance(view, ResultTable):
            self.query_one("#run-tabs", TabStrip).set_count("results", view.count)
        self.say_status()

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        message.stop()
        row, key = message.row, message.key
        if isinstance(row, TaskRow):
            if row.record.child_run is not None:
                self.app.open_run(row.record.child_run)
            else:
                self.app.open_task(row.record.run_id, row.record.no)
        elif isinstance(row, TaskGroup):
            self.filter_tasks(row.task)
        elif isinstance(row, LogRecord):
            self.app.show_message(f"{row.logger}", row.message)
        elif isinstance(row, ResultRow):
            self.app.open_task(self.run_id, row.record.task & 0xFFFFFF)
        elif isinstance(key, int):
            self.app.open_task(key >> 24, key & 0xFFFFFF)
        else:
            self._open_group(key)

    @on(GraphView.Opened)
    def _node_opened(self, message: GraphView.Opened) -> None:
        self._open_group(message.key)

    def _open_group(self, key: object) -> None:
        """Show the task runs of a task, by its key."""
        group = next((group for group in self.groups if group.task_key == key), None)
        if group is not None:
            self.filter_tasks(group.task)

    @on(Line.Picked)
    async def _picked(self, message: Line.Picked) -> None:
        log = self.query_one("#run-log", LogView)
        known = {
            "failure": "screen.go_error",
            "filter": "screen.find_filter",
            "group": "screen.view_group",
            "level": "screen.view_less",
            "times": "screen.view_times",
        }
        if message.key == "sort":
            self.table.action_view_sort()
        elif message.key == "wrap":
            log.action_view_wrap()
        elif message.key == "follow":
            log.action_view_follow()
        elif message.key in known:
            await self.run_action(known[str(message.key)])

    # -- keys ------------------------------------------------------------------------------

    def back(self) -> bool:
        """Clear the filter, then the groups."""
        bar = self.query_one("#log-query" if self.tab == "logs" else "#task-query", QueryBar)
        if bar.is_open or bar.applied:
            bar.close()
            return True
        if self.tab in {"tasks", "timeline"} and (self.bucket or self.problems):
            self.clear_filters()
            return True
        if self.tab == "logs" and self.level:
            self.level = 0
            self.refilter()
            return True
        if self.tab == "tasks" and self.has_class("-grouped"):
            self.action_view_group()
            return True
        return False

    def clear_filters(self) -> None:
        """Show all task runs."""
        self.bucket, self.problems = "", False
        self.query_one("#run-chips", StateChips).chosen = ""
        bar = self.query_one("#task-query", QueryBar)
        if bar.applied or bar.is_open:
            bar.close()
        self.refilter()

    def show_tasks(self) -> None:
        """Show the table of task runs."""
        self.set_class(False, "-grouped")
        self.query_one("#run-tabs", TabStrip).choose("tasks")

    def action_go_next_tab(self) -> None:
        """Show the next tab."""
        self.query_one("#run-tabs", TabStrip).step(1)

    def action_go_previous_tab(self) -> None:
        """Show the tab before."""
        self.query_one("#run-tabs", TabStrip).step(-1)

    def action_find_filter(self) -> None:
        """Filter the tasks, or the log."""
        if self.tab == "logs":
            self.query_one("#log-query", QueryBar).open()
            return
        if self.tab not in {"tasks", "timeline"} or self.has_class("-grouped"):
            self.show_tasks()
        self.query_one("#task-query", QueryBar).open()

    def action_find_problems(self) -> None:
        """Show only what went wrong; again shows all."""
        if self.tab == "logs":
            self.level = 0 if self.level == LEVELS.index("warning") else LEVELS.index("warning")
        else:
            self.problems = not self.problems
            if self.tab not in {"tasks", "timeline"}:
                self.show_tasks()
        self.refilter()

    def action_view_group(self) -> None:
        """Group the tasks, or change what the timeline's bars are."""
        if self.tab == "timeline":
            self.lanes = LANES[(LANES.index(self.lanes) + 1) % len(LANES)]
            self.show_tab()
            self.app.say(f"Bars are {self.lanes}")
        elif self.tab == "tasks":
            self.toggle_class("-grouped")
            self.groups_changed()
            self.say_status()
            self.call_after_refresh(self.focus_tab)

    def action_view_more(self) -> None:
        """Show more levels of the log."""
        self._to_level(self.level - 1)

    def action_view_less(self) -> None:
        """Show fewer levels of the log."""
        self._to_level(self.level + 1)

    def _to_level(self, level: int) -> None:
        if self.tab == "logs":
            self.level = level % len(LEVELS)
            self.refilter()

    def action_view_preview(self) -> None:
        """Show or hide what is known of the task under the cursor."""
        self.toggle_class("-preview")
        shown = self.has_class("-preview")
        if self.app.size.width >= 100 and self.app.size.height >= 28:
            self.app.state.put("run", "preview", value=shown)
        if shown:
            self.call_after_refresh(self.preview.reload)
        elif self.preview.has_pseudo_class("focus-within"):
            self.focus_tab()

    def action_view_times(self) -> None:
        """Change how times are shown, everywhere."""
        self.app.set_times(self.look.times.following)
        self.say_status()
