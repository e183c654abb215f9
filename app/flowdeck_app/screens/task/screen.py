"""The screen of one task run: why it failed, frame by frame, and everything recorded about it.

The screen knows which task run and which attempt are shown, and reads them in one go; the views
(:mod:`~flowdeck_app.screens.task.body`) and the lines below them show what they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work

from flowdeck_app.actions import bindings
from flowdeck_app.drawing import usage
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.signs import ACTIVE, kind_of
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.parts.headline import Headline
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.screens.parts.stopping import Stopping
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.task.body import TaskBody
from flowdeck_app.screens.task.facts import TaskFacts, read_facts
from flowdeck_app.screens.task.failure_rows import place_of
from flowdeck_app.screens.task.failure_text import markdown, traceback_text
from flowdeck_app.screens.task.lines import headline_pieces
from flowdeck_app.screens.task.summary import TaskSummary
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.live import StoreChanged
    from flowdeck_app.screens.task.failure_rows import Captured
    from flowdeck_store.read.records import FailureRecord, FlowRunRecord, TaskRunRecord


class TaskScreen(FlowdeckScreen):
    """A task run, live while it goes on.

    Args:
        run_id: number of the flow run.
        no: number of the task run in it; 0: the flow function itself.
    """

    AUTO_FOCUS = ""
    CSS_PATH = "task.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(
            "go.next_tab", "go.previous_tab", "go.next_attempt", "go.previous_attempt",
            "go.next_failure", "go.why", "run.from_failed", "run.cancel_task", "run.debug", "find.filter",
            "view.all", "view.diff", "view.times", "take.copy", "take.markdown", "take.editor", "take.pager",
        )
    ]  # fmt: skip

    def __init__(self, run_id: int, no: int) -> None:
        super().__init__()
        self.run_id, self.no = run_id, no
        self.known: TaskFacts | None = None
        self.attempt = 0  # the shown one; 0: the last
        self.stopping = Stopping(self)
        self.set_class(True, "-unread")
        self._reading = Renewal(self, self._load, self._unread)

    def compose_content(self) -> ComposeResult:
        """Yield headline, views, and the lines below."""
        yield Headline(id="task-headline")
        yield TaskBody(id="task-body")
        yield TaskSummary(id="task-summary")

    def on_mount(self) -> None:
        """Keep running times growing."""
        self.set_interval(1.0, self.tick)

    def on_screen_suspend(self) -> None:
        """Nobody watches the task any more."""
        self.app.watch_closely(False)

    def on_resize(self, event: events.Resize) -> None:
        """Choose how much stands below the views."""
        super().on_resize(event)
        self.set_class(event.size.height < 28 or event.size.width < 100, "-low")
        self.body.fit_inputs()

    # -- what is shown ---------------------------------------------------------------------

    @property
    def body(self) -> TaskBody:
        """Tabs and views."""
        return self.query_one(TaskBody)

    @property
    def summary(self) -> TaskSummary:
        """The lines below the views."""
        return self.query_one(TaskSummary)

    @property
    def failure(self) -> FailureRecord | None:
        """The failure of the shown attempt."""
        return None if self.known is None else self.known.failure_of(self.attempt)

    @property
    def exception(self) -> Captured | None:
        """What was captured of it."""
        return self.failure.exception if self.failure is not None else None

    @property
    def frame(self) -> Captured | None:
        """The chosen frame."""
        item = self.body.traceback.item
        return item.frame if item is not None else None

    def trail(self) -> Sequence[str]:
        """Return Runs, the flow, the run, the task run."""
        if self.known is None:
            return ("Runs", f"#{self.run_id}.{self.no}")
        run = self.known.run
        last = "the flow" if self.no == 0 else self.known.record.label
        return ("Runs", run.flow, run.name, last)

    def facts(self) -> Sequence[Piece]:
        """Return runner and worker, and what the task run used."""
        known = self.known
        if known is None:
            return ()
        parts = [clean(known.run.runner or "", 40), clean(known.record.worker or "", 40)]
        parts += usage.short(known.record.usage)
        text = f" {self.look.symbols.dot} ".join(part for part in parts if part)
        return (Piece(text, "$fd-muted"),) if text else ()

    # -- reading ---------------------------------------------------------------------------

    def reload(self) -> None:
        """Read everything anew."""
        self._reading.ask()

    def store_changed(self, message: StoreChanged) -> None:
        """Reload when the run may have changed."""
        if message.touches(self.run_id):
            self.reload()

    async def _load(self) -> None:
        run_id, no = self.run_id, self.no
        found = await self.app.access.ask(lambda reader: read_facts(reader, run_id, no))
        if (run_id, no) != (self.run_id, self.no):
            return
        first, self.known = self.known is None, found
        self.set_class(False, "-unread")
        self.set_class(found is None, "-gone")
        if found is None:
            self._say_gone()
        else:
            if first or (found.failures and not self.has_class("-failed")):
                self.set_class(bool(found.failures), "-failed")
                self.body.choose_tabs(found)
            self.show_facts()
        live = found is not None and not is_final(found.record.code, found.record.named)
        if self.app.screen is self:
            self.app.watch_closely(live)

    def show_other(self, task: TaskRunRecord) -> None:
        """Show another task run on this screen."""
        self.run_id, self.no = task.run_id, task.no
        self.known, self.attempt = None, 0
        self._reading.now()

    def _say_gone(self) -> None:
        name = f"Task run {self.run_id}.{self.no}"
        self.query_one("#task-headline", Line).say(
            [(f"{name} is not in the record (any more)", "bold $fd-failed")],
            [("esc goes back", "$fd-muted")],
        )

    def _unread(self, error: Exception) -> None:
        if self.is_attached:
            text = clean(str(error), 300, newline=" ")
            self.query_one("#task-headline", Line).say(
                [(f"The record does not answer: {text}", "$fd-failed")]
            )

    # -- drawing ---------------------------------------------------------------------------

    def show_facts(self) -> None:
        """Show what was read."""
        known = self.known
        if known is None:
            return
        self._say_headline(known)
        self.summary.show_task(known)
        self.body.show_task(known, self.attempt)
        self.refresh_breadcrumb()
        self.refresh_bindings()

    def _say_headline(self, known: TaskFacts) -> None:
        left, right = headline_pieces(known, self.attempt, self.look)
        self.query_one("#task-headline", Line).say(left, right)

    def tick(self) -> None:
        """Let running times grow."""
        known = self.known
        if self.app.screen is self and known is not None:
            record = known.record
            if record.ended_us is None and kind_of(record.code, record.named) in ACTIVE:
                self._say_headline(known)
                self.summary.say_history(known)
                self.refresh_breadcrumb()

    def ages_pass(self) -> None:
        """Say anew how long ago other runs failed the same way."""
        super().ages_pass()
        if self.known is not None:
            self.summary.say_same(self.known)

    @on(TaskBody.SourceCompared)
    def _source_compared(self, message: TaskBody.SourceCompared) -> None:
        self.summary.say_drift(message.found)

    @on(Line.Picked)
    def _picked(self, message: Line.Picked) -> None:
        if message.key == "headline" and self.exception is not None:
            self.action_view_whole()
        elif message.key == "diff":
            self.action_view_diff()
        elif isinstance(message.key, int):
            self.app.open_run(message.key)

    # -- tabs, attempts and failures -------------------------------------------------------

    def step_back(self) -> bool:
        """Close the search."""
        bar = self.body.search_bar
        if bar.is_open or bar.applied:
            bar.close()
            return True
        return False

    def action_find_filter(self) -> None:
        """Search in what is shown."""
        self.body.search_bar.open()

    def action_go_next_tab(self) -> None:
        """Show the next tab."""
        self.body.tabs.step(1)

    def action_go_previous_tab(self) -> None:
        """Show the tab before."""
        self.body.tabs.step(-1)

    def action_view_times(self) -> None:
        """Change how times are shown, everywhere."""
        self.app.set_times(self.look.times.following)
        self.show_facts()

    def action_go_next_attempt(self) -> None:
        """Show the next attempt."""
        self._step_attempt(1)

    def action_go_previous_attempt(self) -> None:
        """Show the attempt before."""
        self._step_attempt(-1)

    def _step_attempt(self, step: int) -> None:
        total = len(self.known.attempts) if self.known is not None else 0
        number = step + (self.known.attempt_number(self.attempt) if self.known is not None else 0)
        if not 1 <= number <= total:
            self.app.say("This was the only attempt" if total < 2 else "There are no more attempts")
            return
        self.attempt = number
        self.show_facts()

    @work(group="next-failure", exclusive=True, exit_on_error=False)
    async def action_go_next_failure(self) -> None:
        """Show the next failed task run of the run, in place."""
        found = await self.app.access.ask(lambda reader: reader.next_problem(self.run_id, self.no))
        if found is None or found.no == self.no:
            self.app.say("No other task of this run has failed")
        else:
            self.show_other(found)

    def action_go_why(self) -> None:
        """Show why it went as it did."""
        self.summary.why.open_all()

    def action_view_all(self) -> None:
        """Show the frames of libraries too, or fold them."""
        pane = self.body.traceback
        if self.body.tab == "traceback":
            pane.set_every_frame(not pane.every_frame)

    def action_view_whole(self) -> None:
        """Show the whole message."""
        if self.exception is not None:
            title = str(self.exception.get("type") or "Exception")
            self.app.show_message(title, str(self.exception.get("message") or ""), error=True)

    # -- source ----------------------------------------------------------------------------

    @property
    def can_edit(self) -> bool | None:
        """Whether there is a file to open."""
        if self.known is None:
            return None
        return True if self.frame is not None or self.known.definition is not None else None

    def action_view_diff(self) -> None:
        """Show what differs between the recorded source and the file of today."""
        found = self.body.traceback.drifted
        if self.frame is None or found is None:
            self.app.say("Choose a frame: its recorded source is compared with today's file")
        elif found.diff:
            self.app.show_message(
                f"{place_of(self.frame)}: as recorded, today", "\n".join(found.diff)
            )
        else:
            said = {"same": "The file is as it was recorded"}.get(found.state, found.sentence)
            self.app.say(said or "No source was recorded for this frame")

    def action_take_editor(self) -> None:
        """Open today's file at the line, wherever that has moved to."""
        pane, frame = self.body.traceback, self.frame
        if frame is None:
            if self.known is not None and self.known.definition is not None:
                self.app.edit(*self.known.definition)
            return
        path = pane.path_of(frame)
        if path is None or not path.is_file():
            self.app.say(f"{place_of(frame)} is not a file on this machine", "warning")
            return
        found = pane.drifted
        line = frame.get("lineno")
        self.app.edit(str(path), found.line if found is not None else int(line or 1))

    # -- taking out ------------------------------------------------------------------------

    def copy_focused(self) -> None:
        """Copy the traceback as text, or the row under the cursor of other views."""
        view = self.focused
        if self.body.tab == "traceback" and self.exception is not None:
            row = view.current if isinstance(view, PanelView) else None
            if row is not None and row.text and row.title:
                self.app.copy(row.text, f"the value of {clean(row.title, 60)}")
            else:
                text = traceback_text(self.exception, self.look.now_us)
                self.app.copy(text, "the traceback")
            return
        found = view.to_copy if isinstance(view, LineView) else None
        self.app.copy(*(found or (f"{self.run_id}.{self.no}", "the number of the task run")))

    def action_take_markdown(self) -> None:
        """Copy the failure as Markdown for an issue."""
        known = self.known
        if known is not None:
            now = self.look.now_us
            text = markdown(known.record, known.run, self.failure, known.parameters, now)
            self.app.copy(text, "Markdown for an issue")

    def action_take_pager(self) -> None:
        """Read the traceback, or the value, in the pager."""
        known = self.known
        if known is None:
            return
        if self.exception is not None:
            self.app.page(traceback_text(self.exception, self.look.now_us))
        elif known.result is not None:
            self.app.page(known.result.preview or "")
        else:
            self.app.page(known.record.message or "")

    # -- stopping and running again --------------------------------------------------------

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The flow run that the task run belongs to."""
        return None if self.known is None else self.known.run

    @property
    def can_cancel_task(self) -> bool | None:
        """Whether the task run goes on."""
        return self.known is not None and self.known.can_cancel

    def action_run_cancel_task(self) -> None:
        """Ask, then cancel the task run."""
        if self.known is not None and self.can_cancel_task:
            self.stopping.cancel_task(self.known.record)

    @property
    def can_debug(self) -> bool | None:
        """Whether there is a task to run again."""
        return self.known is not None and self.known.can_debug

    def action_run_debug(self) -> None:
        """Run the task again in the debugger, in the app's place."""
        self.app.debug_task(f"{self.run_id}.{self.no}")
