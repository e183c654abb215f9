"""The screen of one task run: why it failed, frame by frame, and everything recorded about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.widgets import ContentSwitcher

from flowdeck_app.actions import bindings
from flowdeck_app.screens.headline import Headline
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.run_strips import Line
from flowdeck_app.screens.task_actions import TaskActions
from flowdeck_app.screens.task_base import FOCUS, TABS
from flowdeck_app.screens.task_frames import TracebackPane
from flowdeck_app.widgets.line_messages import Opened
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_store.records import LogRecord

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType


class TaskScreen(TaskActions):
    """A task run; number 0 is the flow function itself."""

    AUTO_FOCUS = ""
    CSS_PATH = "task.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "go.next_tab", "go.previous_tab", "go.next_attempt", "go.previous_attempt",
            "go.next_failure", "run.from_failed", "run.cancel_task", "find.filter", "view.all", "view.diff",
            "view.times", "take.copy", "take.markdown", "take.editor", "take.pager",
        )
    ]  # fmt: skip

    def compose_content(self) -> ComposeResult:
        """Yield headline, tabs, panes and the lines below."""
        yield Headline(id="task-headline")
        yield TabStrip(TABS, id="task-tabs")
        yield QueryBar(None, "text in what is shown", id="task-search")
        with ContentSwitcher(initial="traceback", id="task-panes"):
            yield TracebackPane(id="traceback")
            yield PanelView(id="states", empty=("No states", ""))
            yield PanelView(
                id="inputs", empty=("No inputs", "It takes no parameters and waits for nothing")
            )
            yield LogView(
                id="task-log", empty=("No log lines", "This task has not logged anything")
            )
            yield PanelView(id="result", empty=("No result", "A task that has completed has one"))
        yield Line(id="task-states")
        yield Line(id="task-inputs")
        yield Line(id="task-same")
        yield Line(id="task-drift")

    def on_mount(self) -> None:
        """Keep running times growing."""
        self.set_interval(1.0, self.tick)
        self.watch(self.query_one(TracebackPane), "drifted", self.say_drift, init=False)

    def on_screen_suspend(self) -> None:
        """Nobody watches the task any more."""
        self.app.watch_closely(False)

    def on_resize(self, event: events.Resize) -> None:
        """Choose how much stands below the panes."""
        super().on_resize(event)
        self.set_class(event.size.height < 28 or event.size.width < 100, "-low")

    @on(TabStrip.Chosen, "#task-tabs")
    def _tab_chosen(self, message: TabStrip.Chosen) -> None:
        self.query_one("#task-panes", ContentSwitcher).current = FOCUS[message.key][0]
        self.query_one("#task-search", QueryBar).close()
        self.call_after_refresh(self._tab_shown)

    def _tab_shown(self) -> None:
        self.show_tab()
        self.focus_tab()
        self.refresh_bindings()

    @on(QueryBar.Changed)
    def _searched(self, message: QueryBar.Changed) -> None:
        view = self.main_view
        if view is not None:
            view.search(message.text)

    @on(QueryBar.Done)
    def _search_done(self) -> None:
        self.focus_tab()

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        message.stop()
        if isinstance(message.row, LogRecord):
            self.app.show_message(message.row.logger, message.row.message)

    @on(Line.Picked)
    def _picked(self, message: Line.Picked) -> None:
        if message.key == "headline" and self.exception is not None:
            self.action_view_whole()
        elif message.key == "diff":
            self.action_view_diff()
        elif isinstance(message.key, int):
            self.app.open_run(message.key)

    def back(self) -> bool:
        """Close the search."""
        bar = self.query_one("#task-search", QueryBar)
        if bar.is_open or bar.applied:
            bar.close()
            return True
        return False

    def action_find_filter(self) -> None:
        """Search in what is shown."""
        self.query_one("#task-search", QueryBar).open()

    def action_go_next_tab(self) -> None:
        """Show the next tab."""
        self.query_one("#task-tabs", TabStrip).step(1)

    def action_go_previous_tab(self) -> None:
        """Show the tab before."""
        self.query_one("#task-tabs", TabStrip).step(-1)

    def action_view_times(self) -> None:
        """Change how times are shown, everywhere."""
        self.app.set_times(self.look.times.following)
        self.show_facts()
