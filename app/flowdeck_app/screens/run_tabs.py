"""The tabs of a run: which view shows what, under which filter and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.screens.run_filters import RunFilters
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.run_preview import TaskPreview
from flowdeck_app.screens.run_renewal import Renewal
from flowdeck_app.screens.run_tables import GroupTable, ResultRow, ResultTable
from flowdeck_app.sources import (
    ListSource,
    LogSource,
    TaskSource,
    TimelineSource,
    group_bars,
    worker_bars,
)
from flowdeck_app.views.run_panel import run_rows
from flowdeck_app.widgets.graph import GraphView
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.source import MemorySource
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store.query import quote

if TYPE_CHECKING:
    from textual.widget import Widget

    from flowdeck_store.reader import Reader
    from flowdeck_store.records import FlowRunRecord

TABS: Final = (
    Tab("tasks", "Tasks"),
    Tab("timeline", "Timeline"),
    Tab("graph", "Graph"),
    Tab("logs", "Logs"),
    Tab("results", "Results"),
    Tab("params", "Params"),
)
#: The widget of each tab that takes the focus.
FOCUS: Final = {
    "tasks": "#task-table",
    "timeline": "#timeline",
    "graph": "#graph",
    "logs": "#run-log",
    "results": "#results",
    "params": "#params",
}
#: What the timeline shows, in the order of ``b``.
LANES: Final = ("task runs", "tasks", "workers")
#: Results that are listed; more are reached through their tasks.
MOST_RESULTS: Final = 2_000
#: Cells for the name of the task in the run's log.
TASK_CELLS: Final = 16


class RunTabs(RunFilters):
    """The views below the header of a run."""

    def __init__(self, run_id: int) -> None:
        super().__init__(run_id)
        self.lanes = LANES[0]
        self._shown: dict[str, object] = {}
        self._graph = Renewal(self, self._load_graph, self._trouble, rest=1.5)
        self._names = Renewal(self, self._load_names, self._trouble, rest=0.05)

    def refilter(self) -> None:
        """Show the present tab under the present filter."""
        self.show_tab()
        self.say_status()

    # -- showing ---------------------------------------------------------------------------

    def show_tab(self) -> None:
        """Give the views of the present tab their source, and have them read."""
        tab = self.tab
        if tab == "tasks":
            self._show_tasks()
        elif tab == "timeline":
            self._show_timeline()
        elif tab == "graph":
            self._graph.ask()
        elif tab == "logs":
            self._show_log("#run-log", self.log_query)
        elif tab == "results":
            self._show_results()
        elif tab == "params" and self.run is not None:
            rows = run_rows(self.run, self.look)
            self.query_one("#params", PanelView).fill(rows, subject=self.run_id)

    def _show_tasks(self) -> None:
        table = self.table
        wanted = (self.task_query, self.task_order)
        if self._shown.get("tasks") != wanted:
            self._shown["tasks"] = wanted
            table.empty = self._no_tasks()
            table.show(self.task_source())
        else:
            table.reload()
        self.query_one("#preview", TaskPreview).reload()
        small = self.query_one("#mini-timeline", Timeline)
        if small.display:
            self._bars(small, "mini", LANES[1])
        if self.query_one("#side").display:
            self._show_log("#side-log", "")

    def task_source(self) -> TaskSource:
        """Return the rows under the present filter, in the present order."""
        return TaskSource(self.app.access, self.run_id, self.task_query, self.task_order)

    def _no_tasks(self) -> tuple[str, str]:
        if self.task_query:
            return "Nothing matches", "esc clears the filter"
        return "No tasks yet", "The flow has not submitted a task"

    def _show_timeline(self) -> None:
        self._bars(self.query_one("#timeline", Timeline), "timeline", self.lanes)

    def _bars(self, view: Timeline, name: str, lanes: str) -> None:
        if self.run is not None:
            view.set_span(self.run.started_us or self.run.created_us, self.run.ended_us)
        query = self.task_query if lanes == LANES[0] else ""
        if self._shown.get(name) == (lanes, query):
            view.reload()
            return
        self._shown[name] = (lanes, query)
        access = self.app.access
        if lanes == LANES[0]:
            view.show(TimelineSource(access, self.run_id, query))
        elif lanes == LANES[1]:
            view.show(group_bars(access, self.run_id))
        else:
            view.show(worker_bars(access, self.run_id))

    def _show_log(self, where: str, query: str) -> None:
        view = self.query_one(where, LogView)
        if self.run is not None:
            view.start_us = self.run.started_us or self.run.created_us
        view.task_cells = TASK_CELLS if self.app.size.width >= 90 else 0
        if self._shown.get(where) == query:
            view.reload()
            return
        self._shown[where] = query
        view.empty = (
            ("Nothing matches", "esc clears the filter")
            if query
            else ("No log lines yet", "Lines appear here as the flow writes them")
        )
        view.show(LogSource(self.app.access, self.run_id, None, query))
        view.set_follow(True)

    def _show_results(self) -> None:
        view = self.query_one("#results", ResultTable)
        if "results" in self._shown:
            view.reload()
            return
        self._shown["results"] = True
        source: ListSource[ResultRow] = ListSource(
            self.app.access,
            self._read_results,
            key=lambda row: row.record.task,
            text=lambda row: f"{row.name} {row.record.type} {row.record.preview}",
        )
        view.show(source)

    def _read_results(self, reader: Reader) -> list[ResultRow]:
        records = reader.results(self.run_id, limit=MOST_RESULTS)
        nos = [record.task & 0xFFFFFF for record in records]
        names = {task.no: task.name for task in reader.tasks_by_nos(self.run_id, nos)}
        own = self.run.flow if self.run is not None else "flow"
        return [
            ResultRow(record, names.get(no) or (own if no == 0 else str(no)))
            for record, no in zip(records, nos, strict=True)
        ]

    async def _load_graph(self) -> None:
        graph = await self.app.access.ask(lambda reader: reader.graph(self.run_id), "slow")
        self.query_one("#graph", GraphView).show(graph)

    # -- names in the log ------------------------------------------------------------------

    def need_names(self) -> None:
        """Look up the names of the task runs whose lines are in view."""
        if self._unnamed():
            self._names.ask()

    def _logs(self) -> list[LogView]:
        found = ["#run-log"] if self.tab == "logs" else ["#side-log"] if self.tab == "tasks" else []
        return [self.query_one(where, LogView) for where in found]

    def _unnamed(self) -> list[int]:
        nos: set[int] = set()
        for view in self._logs():
            rows = (view.row_at(place) for place in range(view.top, view.top + view.size.height))
            nos.update(row.task_no for row in rows if row is not None)
            nos -= view.task_names.keys()
        return sorted(nos - {0})

    async def _load_names(self) -> None:
        nos = self._unnamed()
        if not nos:
            return
        tasks = await self.app.access.ask(lambda reader: reader.tasks_by_nos(self.run_id, nos))
        names = {**dict.fromkeys(nos, ""), **{task.no: task.name for task in tasks}}
        for view in self._logs():
            view.task_names.update(names)
            view.redraw()

    # -- hearing ---------------------------------------------------------------------------

    def first_seen(self, run: FlowRunRecord) -> None:
        """Views that need the run's times can be drawn now."""
        self.query_one("#preview", TaskPreview).start_us = run.started_us or run.created_us
        self.show_tab()

    def run_changed(self) -> None:
        """Say how far it is."""
        if self.tab == "params":
            self.show_tab()
        self.say_status()

    def groups_changed(self) -> None:
        """Show the groups, where they are shown."""
        if self.has_class("-grouped"):
            view = self.query_one("#group-table", GroupTable)
            if isinstance(view.source, MemorySource) and "groups" in self._shown:
                view.source.rows = self.groups
                view.reload()
            else:
                self._shown["groups"] = True
                view.show(MemorySource(self.groups, key=_group_key, text=lambda group: group.task))

    def filter_tasks(self, name: str) -> None:
        """Show the task runs of one task."""
        self.set_class(False, "-grouped")
        self.query_one("#run-tabs", TabStrip).choose("tasks")
        self.query_one("#task-query", QueryBar).open(f"task:{quote(name)}")
        self.focus_tab()

    def focus_tab(self) -> None:
        """Put the focus on the main view of the tab."""
        where = (
            "#group-table"
            if self.tab == "tasks" and self.has_class("-grouped")
            else FOCUS[self.tab]
        )
        target: Widget = self.query_one(where)
        target.focus()


def _group_key(group: object) -> str:
    return str(getattr(group, "task_key", ""))
