"""What is known of the task run under the cursor: its logs, states, inputs and result."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Unpack

from textual import on
from textual.containers import Vertical
from textual.widgets import ContentSwitcher

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean, fit_middle, width
from flowdeck_app.events.living import Living
from flowdeck_app.log_sources import LogSource
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.parts.reasons import read_reasons
from flowdeck_app.screens.parts.renewal import Renewal, records_of
from flowdeck_app.screens.parts.strips import PaneTabs
from flowdeck_app.views.facts import PanelRow, input_rows, state_rows, why_rows
from flowdeck_app.views.results import result_panel
from flowdeck_app.widgets.lines.messages import Changed
from flowdeck_app.widgets.log_view import LogView
from flowdeck_store.outlines import outline_of

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import TaskRunRecord

TABS: Final = (("logs", "Logs"), ("states", "States"), ("inputs", "Inputs"), ("result", "Result"))
#: Seconds that the cursor must rest on a task before its preview is read.
PAUSE: Final = 0.08
#: Cells of the name in the head of the pane.
_NAME: Final = 40
_EMPTY: Final = {
    "states": ("No states", ""),
    "inputs": ("No inputs", "The task takes no parameters and waits for nothing"),
    "result": ("No result", "It appears when the task completes"),
}


class TaskPreview(Living, Vertical):
    """The pane below (or beside) the tasks. Call :meth:`show_task` and :meth:`reload`."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    TaskPreview { height: 11; }
    TaskPreview ContentSwitcher { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("go.next_tab", "go.previous_tab", hide=("go.next_tab",))
    ]

    def __init__(self, start_us: int | None = None, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.record: TaskRunRecord | None = None
        self._start_us = start_us
        self._facts = Renewal(self, self._load, self._failed)
        self._waiting = 0

    def compose(self) -> ComposeResult:
        """Yield head and views."""
        yield PaneTabs(TABS, "logs")
        with ContentSwitcher(initial="preview-logs"):
            yield LogView(id="preview-logs", empty=("", ""))
            for key in ("states", "inputs", "result"):
                yield PanelView(id=f"preview-{key}", empty=_EMPTY[key])

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.query_one(PaneTabs).active

    @property
    def log_view(self) -> LogView:
        """The log lines of the task run."""
        return self.query_one("#preview-logs", LogView)

    def set_start(self, start_us: int) -> None:
        """Say when the run started, for relative times."""
        self._start_us = self.log_view.start_us = start_us

    def show_task(self, record: TaskRunRecord | None) -> None:
        """Show another task run, once the cursor rests."""
        before, self.record = self.record, record
        same = before is not None and record is not None and before.id == record.id
        if same and before == record:
            return
        self._waiting += 1
        turn = self._waiting
        self.set_timer(PAUSE, lambda: self._rested(turn, same))

    def _rested(self, turn: int, same: bool) -> None:
        if turn == self._waiting and self.is_attached and self.display:
            self._show(same)

    def _show(self, same: bool = False) -> None:
        record = self.record
        tabs = self.query_one(PaneTabs)
        if record is None:
            tabs.title = self.app.symbols.dash
            return
        name = clean(record.label, 200, ascii_only=self.app.symbols.ascii)
        if width(name) > _NAME:  # its end tells it from its siblings
            name = fit_middle(name, _NAME, ellipsis=self.app.symbols.ellipsis).rstrip()
        tabs.title = name
        if self.tab != "logs":
            self._facts.now()
            return
        shown = self.log_view.source
        if isinstance(shown, LogSource) and (shown.run_id, shown.no) == (record.run_id, record.no):
            self.log_view.reload()
        else:
            self.log_view.start_us = self._start_us
            self.log_view.empty = ("No log lines", "This task has not logged anything")
            self.log_view.show(LogSource(records_of(self), record.run_id, record.no))
            self.log_view.set_follow(True)

    def reload(self) -> None:
        """Read what is shown anew."""
        if self.display:
            self._show(same=True)

    @on(PaneTabs.Chosen)
    def _chosen(self, message: PaneTabs.Chosen) -> None:
        message.stop()
        had_focus = self.has_pseudo_class("focus-within")
        self.query_one(ContentSwitcher).current = f"preview-{message.key}"
        if had_focus:
            self.query_one(f"#preview-{message.key}").focus()
        self._note()
        self._show()

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        if message.view is self.log_view:
            message.stop()
            self._note()

    def _note(self) -> None:
        log = self.log_view
        note = ""
        if self.tab == "logs":
            note = "following" if log.follow else f"+{log.new_below}" if log.new_below else ""
        self.query_one(PaneTabs).note = note

    def action_go_next_tab(self) -> None:
        """Show the next tab."""
        self.query_one(PaneTabs).step(1)

    def action_go_previous_tab(self) -> None:
        """Show the tab before."""
        self.query_one(PaneTabs).step(-1)

    # -- reading ---------------------------------------------------------------------------

    async def _load(self) -> None:
        record, tab, look = self.record, self.tab, self.app.look
        if record is None or tab == "logs":
            return
        rows = await records_of(self).ask(lambda reader: tab_rows(reader, record, tab, look))
        if self.record is not None and self.record.id == record.id:
            self.query_one(f"#preview-{tab}", PanelView).fill(rows, subject=record.id)

    def _failed(self, error: Exception) -> None:
        self.query_one(PaneTabs).note = clean(str(error), 60)


def tab_rows(reader: Reader, record: TaskRunRecord, tab: str, look: Look) -> list[PanelRow]:
    """Read and draw the rows of one tab of a task run."""
    run_id, no = record.run_id, record.no
    if tab == "states":
        rows = state_rows(reader.states(run_id, no), look)
        return [*rows, *why_rows(read_reasons(reader, record, look.now_us), look)]
    if tab == "result":
        outline = outline_of(reader.outline(run_id, no))
        return result_panel(reader.result(run_id, no), outline, look)
    edges = reader.downstream(run_id, no)
    takers = reader.tasks_by_ids([edge.task for edge in edges[:MOST_TAKERS]])
    return input_rows(
        reader.task_parameters(run_id, no),
        reader.upstreams(run_id, [no]).get(no, []),
        takers,
        look,
        more=max(0, len(edges) - MOST_TAKERS),
    )


#: Task runs listed under "Goes to".
MOST_TAKERS: Final = 50
