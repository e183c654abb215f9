"""The views of a task run: traceback, states, inputs, logs and result, behind tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from textual import on
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widgets import ContentSwitcher

from flowdeck_app.drawing.ansi import without_colours
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.log_sources import LogSource
from flowdeck_app.screens.artifacts.pane import ArtifactTable
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.task.frames import TracebackPane
from flowdeck_app.screens.task.lines import attempt_note
from flowdeck_app.views.facts import input_rows, state_rows
from flowdeck_app.views.results import result_panel
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_store.read.records import LogRecord

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_app.host import HostApp
    from flowdeck_app.screens.task.drift import Drift
    from flowdeck_app.screens.task.facts import TaskFacts

TABS: Final = (
    Tab("traceback", "Traceback"),
    Tab("states", "States"),
    Tab("inputs", "Inputs"),
    Tab("logs", "Logs"),
    Tab("artifacts", "Artifacts"),
    Tab("result", "Result"),
)
#: Lines of a screen from which on inputs have room below a traceback.
HIGH: Final = 40
#: Pane of each tab, and the widget in it that takes the focus.
FOCUS: Final = {
    "traceback": ("traceback", "#frames"),
    "states": ("states", "#states"),
    "inputs": ("inputs", "#inputs"),
    "logs": ("task-log", "#task-log"),
    "artifacts": ("task-artifacts", "#task-artifacts"),
    "result": ("result", "#result"),
}


class TaskBody(Living, Vertical):
    """Shows one attempt of a task run; :meth:`show_task` brings news."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    TaskBody { height: 1fr; }
    """

    class SourceCompared(Message):
        """How the shown source relates to the file of today; ``None``: no source is shown."""

        def __init__(self, found: Drift | None) -> None:
            super().__init__()
            self.found = found

    _known: TaskFacts | None = None
    _attempt = 0
    _n_inputs = 0  # lines

    def compose(self) -> ComposeResult:
        """Yield tabs, search and panes."""
        yield TabStrip(TABS, id="task-tabs")
        yield QueryBar(None, "text in what is shown", id="task-search")
        with ContentSwitcher(initial="traceback", id="task-panes"):
            with Vertical(id="traceback"):
                yield TracebackPane(id="failure")
                with Container(classes="pane", id="below"):
                    yield PanelView(id="inputs-below")
            yield PanelView(id="states", empty=("No states", ""))
            yield PanelView(
                id="inputs", empty=("No inputs", "It takes no parameters and waits for nothing")
            )
            yield LogView(
                id="task-log", empty=("No log lines", "This task has not logged anything")
            )
            yield ArtifactTable(0, id="task-artifacts")
            yield PanelView(id="result", empty=("No result", "A task that has completed has one"))

    def on_mount(self) -> None:
        """Tell whenever another source was compared."""
        self.watch(self.traceback, "drifted", self._tell_drift, init=False)

    @property
    def tabs(self) -> TabStrip:
        """The tabs."""
        return self.query_one("#task-tabs", TabStrip)

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.tabs.active

    @property
    def traceback(self) -> TracebackPane:
        """Frames and source."""
        return self.query_one(TracebackPane)

    @property
    def search_bar(self) -> QueryBar:
        """The search in what is shown."""
        return self.query_one("#task-search", QueryBar)

    # -- showing ---------------------------------------------------------------------------

    def choose_tabs(self, known: TaskFacts) -> None:
        """Show the traceback first where there is one; leave it out where there never was one."""
        tabs, failed = self.tabs, bool(known.failures)
        there = {"traceback": failed, "artifacts": known.n_artifacts > 0}
        tabs.tabs = tuple(tab for tab in TABS if there.get(tab.key, True))
        wanted = "traceback" if failed else "logs" if known.n_logs else "states"
        if tabs.active == wanted:
            self.call_after_refresh(self.focus_rows)
        else:
            tabs.choose(wanted)

    def show_task(self, known: TaskFacts, attempt: int) -> None:
        """Show a task run as it is now; ``attempt`` 0 is its last."""
        self._known, self._attempt = known, attempt
        self.tabs.set_count("logs", known.n_logs)
        shown = {tab.key: tab for tab in self.tabs.tabs}
        if known.n_artifacts and "artifacts" not in shown:  # the first one came
            wanted = (shown.get(tab.key, tab) for tab in TABS if tab.key in {*shown, "artifacts"})
            self.tabs.tabs = tuple(wanted)
        if known.n_artifacts:
            self.tabs.set_count("artifacts", known.n_artifacts)
        note = attempt_note(known.attempt_number(attempt), len(known.attempts), self.app.look)
        self.tabs.note = tuple(Piece(*part) for part in note)
        self._show_tab()

    def _show_tab(self) -> None:
        known, look, tab = self._known, self.app.look, self.tab
        if known is None:
            return
        subject = (known.record.run_id, known.record.no)
        if tab == "traceback":
            failure = known.failure_of(self._attempt)
            name = (subject, failure.id if failure is not None else None)
            cwd = known.run.info.get("cwd")
            exception = failure.exception if failure is not None else None
            self.traceback.show_exception(exception, name, cwd if isinstance(cwd, str) else None)
            self._show_inputs("inputs-below", known)
            self.fit_inputs()
        elif tab == "states":
            self._panel(tab).fill(state_rows(known.states, look), subject)
        elif tab == "inputs":
            self._show_inputs(tab, known)
        elif tab == "logs":
            self._show_log(known)
        elif tab == "artifacts":
            self.query_one(ArtifactTable).show_task(*subject)
        else:
            self._panel(tab).fill(result_panel(known.result, known.outline, look), subject)
        self._tell_drift(self.traceback.drifted)

    def _show_inputs(self, panel: str, known: TaskFacts) -> None:
        rows = input_rows(
            known.parameters, known.upstreams, known.takers, self.app.look, more=known.more_takers
        )
        self._n_inputs = len(rows)
        self._panel(panel).fill(rows, (known.record.run_id, known.record.no))

    def fit_inputs(self) -> None:
        """Show inputs and upstreams below the traceback where that leaves half of a high screen free."""
        rows = self._n_inputs
        shown = rows > 0 and self.tab == "traceback" and self.app.size.height >= HIGH
        pane = self.query_one("#below")
        pane.styles.height = min(rows + 2, self.app.size.height // 3)
        pane.border_title = "Inputs"
        self.screen.set_class(shown, "-below")

    def _panel(self, tab: str) -> PanelView:
        return self.query_one(f"#{tab}", PanelView)

    def _show_log(self, known: TaskFacts) -> None:
        view, record = self.query_one("#task-log", LogView), known.record
        view.start_us = zero_us(known.run)
        shown = view.source
        if isinstance(shown, LogSource) and (shown.run_id, shown.no) == (record.run_id, record.no):
            view.reload()
        else:
            view.show(LogSource(self.app.access, record.run_id, record.no))
            view.set_follow(True)

    def _tell_drift(self, found: Drift | None) -> None:
        self.post_message(self.SourceCompared(found if self.tab == "traceback" else None))

    def focus_rows(self) -> None:
        """Put the focus on the main view of the tab."""
        self.query_one(FOCUS[self.tab][1]).focus()

    # -- what its widgets say --------------------------------------------------------------

    @on(TabStrip.Chosen, "#task-tabs")
    def _tab_chosen(self, message: TabStrip.Chosen) -> None:
        self.query_one("#task-panes", ContentSwitcher).current = FOCUS[message.key][0]
        self.search_bar.close()
        self.call_after_refresh(self._tab_shown)

    def _tab_shown(self) -> None:
        self._show_tab()
        self.fit_inputs()
        self.focus_rows()
        self.screen.refresh_bindings()

    @on(QueryBar.Changed)
    def _searched(self, message: QueryBar.Changed) -> None:
        focused = self.screen.focused
        beside = focused is not None and focused.id == "source"
        view: LineView[Any] = self.query_one("#source" if beside else FOCUS[self.tab][1], LineView)
        view.search(message.text)

    @on(QueryBar.Done)
    def _search_done(self) -> None:
        self.focus_rows()

    @on(Opened)
    def _opened(self, message: Opened) -> None:
        message.stop()
        if isinstance(message.row, LogRecord):
            self.app.show_message(message.row.logger, without_colours(message.row.message))
