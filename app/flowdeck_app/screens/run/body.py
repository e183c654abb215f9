"""The part of a run's screen below its header: tabs, filters, and the view of each tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Unpack, cast

from textual import on
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher

from flowdeck_app.actions import bindings
from flowdeck_app.events.living import Living
from flowdeck_app.screens.artifacts.pane import ArtifactTable
from flowdeck_app.screens.run.filters import LogFilter, TaskFilter
from flowdeck_app.screens.run.graph import GraphPane
from flowdeck_app.screens.run.logs import LogsPane
from flowdeck_app.screens.run.panes import (
    Pane,
    ParamsPane,
    RunLog,
    TaskPicked,
    TimelinePane,
    TreeChoice,
)
from flowdeck_app.screens.run.path import PathLegend
from flowdeck_app.screens.run.replay import Scrubber
from flowdeck_app.screens.run.tables import ResultTable
from flowdeck_app.screens.run.tasks import TasksPane
from flowdeck_app.screens.run.workers import WorkersPane
from flowdeck_app.tree_sources import TaskTreeSource, TimelineTreeSource
from flowdeck_app.widgets.guard import may
from flowdeck_app.widgets.lines.messages import Changed
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store.query.language import quote

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.read.summaries import TaskGroup

#: Tabs; the pane of each has its key as id.
TABS: Final = (
    Tab("tasks", "Tasks"),
    Tab("timeline", "Timeline"),
    Tab("graph", "Graph"),
    Tab("logs", "Logs"),
    Tab("results", "Results"),
    Tab("params", "Params"),
)
#: Tabs that the filter of tasks acts on.
BY_TASK: Final = frozenset({"tasks", "timeline"})


class RunBody(Living, Vertical):
    """Holds what the panes share: which tab is shown, the filters, whether subflows are shown with
    the run, and the tasks of the run.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("view.tree", "view.fold", "view.all", "view.replay")
    ]

    class ChoicesCleared(Message):
        """No chip is filtered by any more."""

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self.below = TreeChoice()
        self._has_subflows = False
        self._groups: tuple[TaskGroup, ...] = ()

    def compose(self) -> ComposeResult:
        """Yield tabs, filters and panes."""
        yield Scrubber(self.run_id, id="replay")
        yield TabStrip(TABS, id="run-tabs")
        yield TaskFilter(id="task-query")
        yield LogFilter(id="log-query")
        with ContentSwitcher(initial="tasks", id="run-panes"):
            yield TasksPane(self.run_id, id="tasks")
            yield TimelinePane(self.run_id, id="timeline")
            yield GraphPane(self.run_id, id="graph")
            yield LogsPane(self.run_id, id="logs")
            yield ResultTable(self.run_id, id="results")
            yield ArtifactTable(self.run_id, id="artifacts")
            yield WorkersPane(self.run_id, id="workers")
            yield ParamsPane(id="params")
        yield PathLegend(id="run-path")

    @property
    def tabs(self) -> TabStrip:
        """The tabs."""
        return self.query_one("#run-tabs", TabStrip)

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.tabs.active

    @property
    def pane(self) -> Pane:
        """The view of the shown tab."""
        return cast("Pane", self.query_one(f"#{self.tab}"))

    @property
    def tasks(self) -> TasksPane:
        """The view of the first tab."""
        return self.query_one(TasksPane)

    @property
    def filter_bar(self) -> TaskFilter | LogFilter:
        """The filter that is opened on the shown tab."""
        return self.query_one(LogFilter) if self.tab == "logs" else self.query_one(TaskFilter)

    @property
    def filter_text(self) -> str:
        """The filter that the shown tab is under."""
        filtered = self.tab == "logs" or self.tab in BY_TASK
        return self.filter_bar.in_force if filtered else ""

    # -- showing ---------------------------------------------------------------------------

    def show_run(self, run: FlowRunRecord, *, subflows: bool = False) -> None:
        """Tell every pane: all count from the same moment to the same moment.

        Args:
            run: as it is now.
            subflows: it called some.
        """
        self._has_subflows = subflows
        self.tabs.set_count("tasks", run.n_tasks)
        self.tabs.set_count("logs", run.n_logs)
        for tab in TABS:
            cast("Pane", self.query_one(f"#{tab.key}")).show_run(run)
        self.query_one(ArtifactTable).show_run(run)
        self.query_one(WorkersPane).show_run(run)
        self.query_one(PathLegend).show_run(run)

    def show_groups(self, groups: tuple[TaskGroup, ...]) -> None:
        """Take note of the tasks of the run, and show them where they are shown."""
        self._groups = groups
        self.tasks.show_groups(groups)

    def renew(self) -> None:
        """Show the present tab as it is now, under the present filter."""
        log_filter = self.query_one(LogFilter)
        self.query_one(LogsPane).show_choices(log_filter.level, mine=log_filter.mine)
        self.pane.renew(self.filter_text)
        self.query_one(PathLegend).renew(self.tab)

    def focus_rows(self) -> None:
        """Put the focus on the main view of the tab."""
        self.pane.focus_rows()

    # -- with all that is below it ---------------------------------------------------------

    @property
    def can_tree(self) -> bool | None:
        """Whether there are subflows to be shown with the run on this tab."""
        return self._has_subflows and self.tab in {"tasks", "timeline", "logs"}

    @property
    def can_fold(self) -> bool | None:
        """Whether there is something to fold."""
        return self.below.whole and self.tab in BY_TASK

    def action_view_replay(self) -> None:
        """Show the run as it was at a moment of the past, and move that."""
        self.query_one(Scrubber).begin()

    def action_view_tree(self) -> None:
        """Show tasks, timeline and log with those of all subflows, or the run's own again."""
        self.show_tree(TreeChoice(not self.below.whole, self.below.folded))
        whole = "with all its subflows" if self.below.whole else "alone"
        self.app.say(f"The run {whole}")

    def action_view_fold(self) -> None:
        """Fold the subflow under the cursor, or unfold it."""
        self._fold(None)

    def action_view_all(self) -> None:
        """Unfold all subflows; where none is folded, fold all."""
        source = self._tree_source()
        if source is not None:
            folded = frozenset() if self.below.folded else source.foldable()
            self.show_tree(TreeChoice(True, folded))

    @on(TaskTable.FoldWanted)
    def _fold_wanted(self, message: TaskTable.FoldWanted) -> None:
        if self.below.whole:
            self._fold(message.fold)

    def _tree_source(self) -> TaskTreeSource | TimelineTreeSource | None:
        view = (
            self.tasks.table if self.tab == "tasks" else self.query_one("#timeline", TimelinePane)
        )
        source = view.drawn_source
        return source if isinstance(source, TaskTreeSource | TimelineTreeSource) else None

    def _fold(self, fold: bool | None) -> None:
        """Fold (or unfold; ``None``: whichever it is not) what is under the cursor."""
        source = self._tree_source()
        view = (
            self.tasks.table if self.tab == "tasks" else self.query_one("#timeline", TimelinePane)
        )
        key = view.current_key
        if source is None or not isinstance(key, int):
            return
        folded, cursor = source.folded_at(key, fold)
        if folded != self.below.folded:
            view.row_cursor.bind(cursor)
            self.show_tree(TreeChoice(True, folded))

    def show_tree(self, tree: TreeChoice) -> None:
        """Show the run with what is below it, or alone."""
        self.below = self.tasks.below = tree
        self.query_one("#timeline", TimelinePane).below = tree
        for log in self.query(RunLog):
            log.whole = tree.whole
        self.renew()
        self.screen.refresh_bindings()

    # -- tabs ------------------------------------------------------------------------------

    @on(TabStrip.Chosen, "#run-tabs")
    def _tab_chosen(self, message: TabStrip.Chosen) -> None:
        self.query_one("#run-panes", ContentSwitcher).current = message.key
        chosen = self.tasks.chosen
        if message.key == "workers" and chosen is not None:
            self.query_one(WorkersPane).show_worker(chosen.worker or "")
        self.call_after_refresh(self._tab_shown)

    def _tab_shown(self) -> None:
        self.renew()
        if not self.query_one(Scrubber).has_focus:  # its keys go on to be those of the replay
            self.focus_rows()
        self.screen.refresh_bindings()

    def show_tasks(self) -> None:
        """Show the table of task runs."""
        self.tasks.set_grouped(False, self._groups)
        self.tabs.choose("tasks")

    def change_grouping(self) -> None:
        """Group the tasks, or change what the timeline's bars are."""
        if self.tab == "timeline":
            self.query_one("#timeline", TimelinePane).change_lanes(self.filter_text)
        elif self.tab == "tasks":
            self.tasks.set_grouped(not self.tasks.grouped, self._groups)
            self.call_after_refresh(self.focus_rows)

    @on(TaskPicked)
    def _task_picked(self, message: TaskPicked) -> None:
        """Show the task runs of a task."""
        message.stop()
        group = next((group for group in self._groups if group.task_key == message.key), None)
        if group is not None:
            self.show_tasks()
            self.query_one(TaskFilter).open(f"task:{quote(group.task)}")
            self.focus_rows()

    @on(Changed, "#results")
    def _results_came(self, message: Changed) -> None:
        self.tabs.set_count("results", message.view.count)

    @on(ArtifactTable.Counted)
    def _artifacts_counted(self, message: ArtifactTable.Counted) -> None:
        """Show their tab, once there are any."""
        if message.count:
            self._show_tab(Tab("artifacts", "Artifacts", message.count), "results")

    @on(WorkersPane.Known)
    def _workers_known(self, message: WorkersPane.Known) -> None:
        """Show their tab, once there are any."""
        self._show_tab(Tab("workers", "Workers", message.count), "params")

    def _show_tab(self, tab: Tab, after: str) -> None:
        """Show a tab that not every run has, or its count."""
        tabs = self.tabs
        if all(shown.key != tab.key for shown in tabs.tabs):
            place = 1 + next(i for i, shown in enumerate(tabs.tabs) if shown.key == after)
            tabs.tabs = (*tabs.tabs[:place], tab, *tabs.tabs[place:])
        tabs.set_count(tab.key, tab.count)

    @on(WorkersPane.Wanted)
    def _worker_wanted(self, message: WorkersPane.Wanted) -> None:
        """Show the task runs of a worker."""
        message.stop()
        self.show_tasks()
        if message.worker:
            self.query_one(TaskFilter).open(f"worker:{quote(message.worker)}")
            self.focus_rows()
        else:
            self.clear_filters()

    @on(PathLegend.Found)
    def _path_found(self, message: PathLegend.Found) -> None:
        marks = message.marks
        self.query_one("#timeline", TimelinePane).mark_path(marks.task_runs | marks.tasks)
        self.query_one("#graph", GraphPane).mark_path(marks.tasks, marks.steps)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the guards of the action registry."""
        return self.can_fold if action == "view_all" else may(self, action)

    # -- filters ---------------------------------------------------------------------------

    def filter_by(self, bucket: str) -> None:
        """Let only task runs of a chip through; ``""``: of all."""
        self.query_one(TaskFilter).bucket = bucket
        if self.tab not in BY_TASK:
            self.tabs.choose("tasks")
        self.renew()

    def open_filter(self) -> None:
        """Filter the tasks, or the log."""
        bar = self.filter_bar
        if self.tab != "logs" and (self.tab not in BY_TASK or self.tasks.grouped):
            self.show_tasks()
        bar.open()

    def toggle_problems(self) -> None:
        """Show only what went wrong, or all again."""
        self.filter_bar.toggle_problems()
        if self.tab != "logs" and self.tab not in BY_TASK:
            self.show_tasks()
        self.renew()

    def step_level(self, step: int) -> None:
        """Show more (-1) or fewer (1) levels of the log, where it is shown."""
        if self.tab == "logs":
            self.query_one(LogFilter).step_level(step)
            self.renew()

    @on(LogsPane.MineWanted)
    def _mine_wanted(self) -> None:
        """Leave out what the engine says of every run, or show all lines again."""
        log_filter = self.query_one(LogFilter)
        log_filter.mine = not log_filter.mine
        self.renew()

    def clear_filters(self) -> None:
        """Show all task runs."""
        bar = self.query_one(TaskFilter)
        bar.clear_choices()
        self.post_message(self.ChoicesCleared())
        if bar.applied or bar.is_open:
            bar.close()
        self.renew()

    def step_back(self) -> bool:
        """Clear the filter, then the groups; ``False``: there was nothing to undo."""
        bar = self.filter_bar
        if bar.is_open or bar.applied:
            bar.close()
        elif self.tab == "logs" and bar.clear_choices():
            self.renew()
        elif self.tab in BY_TASK and bar.clear_choices():
            self.clear_filters()
        elif self.tab == "tasks" and self.tasks.grouped:
            self.change_grouping()
        else:
            return self.query_one(Scrubber).leave()
        return True

    @on(QueryBar.Changed)
    def _query_changed(self) -> None:
        self.renew()

    @on(QueryBar.Done)
    def _query_done(self) -> None:
        self.focus_rows()
