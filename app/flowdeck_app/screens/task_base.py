"""What the screen of a task run knows and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.glyphs import ACTIVE, kind_of
from flowdeck_app.screens.base import FlowdeckScreen
from flowdeck_app.screens.run_panel import PanelView
from flowdeck_app.screens.run_renewal import Renewal
from flowdeck_app.screens.run_strips import Line
from flowdeck_app.screens.task_facts import TaskFacts, read_facts
from flowdeck_app.screens.task_frames import TracebackPane
from flowdeck_app.sources import LogSource
from flowdeck_app.views.failure import headline
from flowdeck_app.views.run_panel import input_rows, result_rows, state_rows
from flowdeck_app.views.states import state_cell
from flowdeck_app.views.task_lines import attempt_note, history_line, inputs_line, same_line
from flowdeck_app.views.text import clean
from flowdeck_app.views.times import between, duration
from flowdeck_app.widgets.line_view import LineView
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.strip_widget import Piece
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.live import StoreChanged
    from flowdeck_app.views.failure import Captured
    from flowdeck_app.views.failure_drift import Drift
    from flowdeck_store.records import FailureRecord

TABS: Final = (
    Tab("traceback", "Traceback"),
    Tab("states", "States"),
    Tab("inputs", "Inputs"),
    Tab("logs", "Logs"),
    Tab("result", "Result"),
)
#: Pane of each tab, and the widget in it that takes the focus.
FOCUS: Final = {
    "traceback": ("traceback", "#frames"),
    "states": ("states", "#states"),
    "inputs": ("inputs", "#inputs"),
    "logs": ("task-log", "#task-log"),
    "result": ("result", "#result"),
}


class TaskBase(FlowdeckScreen):
    """A task run, kept current.

    Args:
        run_id: number of the flow run.
        no: number of the task run in it; 0: the flow function itself.
    """

    def __init__(self, run_id: int, no: int) -> None:
        super().__init__()
        self.run_id, self.no = run_id, no
        self.known: TaskFacts | None = None
        self.attempt = 0  # the shown one; 0: the last
        self.set_class(True, "-unread")
        self._reading = Renewal(self, self._load, self._trouble)

    # -- what is shown ---------------------------------------------------------------------

    def trail(self) -> Sequence[str]:
        """Return Runs, the flow, the run, the task run."""
        if self.known is None:
            return ("Runs", f"#{self.run_id}.{self.no}")
        run = self.known.run
        last = "the flow" if self.no == 0 else self.known.record.name
        return ("Runs", run.flow, run.name, last)

    def facts(self) -> Sequence[Piece]:
        """Return runner and worker."""
        known = self.known
        if known is None:
            return ()
        parts = [clean(known.run.runner or "", 40), clean(known.record.worker or "", 40)]
        text = f" {self.look.symbols.dot} ".join(part for part in parts if part)
        return (Piece(text, "$fd-muted"),) if text else ()

    def _state(self, known: TaskFacts) -> list[Piece]:
        """Return state, attempts and time for the headline's right end."""
        record, look = known.record, self.look
        word, style = state_cell(record.code, record.named, look)
        seconds = between(record.started_us, record.ended_us, look.now_us)
        tries = len(known.attempts)
        pieces = [Piece(clean(word, 40).upper(), style)]
        if tries > 1:
            pieces.append(Piece(f"   {tries} attempts", "$fd-muted"))
        if seconds is not None:
            pieces.append(Piece(f"   {duration(seconds)}", "$fd-strong"))
        return pieces

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.query_one("#task-tabs", TabStrip).active

    @property
    def shown_attempt(self) -> int:
        """Number of the attempt whose failure is shown."""
        known = self.known
        total = len(known.attempts) if known is not None else 0
        return min(self.attempt or total, total)

    @property
    def failure(self) -> FailureRecord | None:
        """The failure of the shown attempt."""
        known = self.known
        if known is None or not known.failures:
            return None
        if not self.attempt:
            return known.failures[-1]
        return next((f for f in known.failures if f.attempt == self.attempt), None)

    @property
    def exception(self) -> Captured | None:
        """What was captured of it."""
        return self.failure.exception if self.failure is not None else None

    @property
    def main_view(self) -> LineView[Any] | None:
        """The view that a search looks through."""
        if self.focused is not None and self.focused.id == "source":
            return self.query_one("#source", PanelView)
        return self.query_one(FOCUS[self.tab][1], LineView)

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
        first = self.known is None
        self.known = found
        self.set_class(False, "-unread")
        if found is None:
            self._say_gone()
        else:
            self.set_class(False, "-gone")
            if first:
                self._choose_tabs(found)
            self.show_facts()
        live = found is not None and not is_final(found.record.code, found.record.named)
        if self.app.screen is self:
            self.app.watch_closely(live)

    def _choose_tabs(self, found: TaskFacts) -> None:
        """Show the traceback first where there is one; leave it out where there never was one."""
        tabs = self.query_one("#task-tabs", TabStrip)
        failed = bool(found.failures)
        tabs.tabs = TABS if failed else TABS[1:]
        self.set_class(failed, "-failed")
        wanted = "traceback" if failed else "logs" if found.n_logs else "states"
        if tabs.active == wanted:
            self.call_after_refresh(self.focus_tab)
        else:
            tabs.choose(wanted)

    def _say_gone(self) -> None:
        name = f"Task run {self.run_id}.{self.no}"
        self.query_one("#task-headline", Line).say(
            [(f"{name} is not in the record (any more)", "bold $fd-failed")],
            [("esc goes back", "$fd-muted")],
        )
        self.set_class(True, "-gone")

    def _trouble(self, error: Exception) -> None:
        if self.is_attached:
            text = clean(str(error), 300, newline=" ")
            self.query_one("#task-headline", Line).say(
                [(f"The record does not answer: {text}", "$fd-failed")]
            )

    # -- drawing ---------------------------------------------------------------------------

    def show_facts(self) -> None:
        """Show what was read."""
        known, look = self.known, self.look
        if known is None:
            return
        if known.failures and not self.has_class("-failed"):
            self._choose_tabs(known)
        self._say_headline(known)
        tabs = self.query_one("#task-tabs", TabStrip)
        tabs.set_count("logs", known.n_logs)
        total = len(known.attempts)
        tabs.note = tuple(Piece(*part) for part in attempt_note(self.shown_attempt, total, look))
        left, right = history_line(known.record, known.states, known.attempts, look)
        self.query_one("#task-states", Line).say(left, right)
        self.query_one("#task-inputs", Line).say(
            inputs_line(known.parameters, known.upstreams, look)
        )
        self._say_same(known)
        self.show_tab()
        self.refresh_breadcrumb()
        self.refresh_bindings()

    def _say_headline(self, known: TaskFacts) -> None:
        ascii_only = self.app.symbols.ascii
        record, exception = known.record, self.exception
        if exception is not None:
            pieces = [
                Piece(headline(exception, ascii_only=ascii_only), "bold $fd-failed", "headline")
            ]
        else:
            text = clean(
                record.message or f"task {record.task}", newline=" ", ascii_only=ascii_only
            )
            _, style = state_cell(record.code, record.named, self.look)
            pieces = [Piece(text, style if known.failures else "$fd-muted")]
            if known.failures and self.attempt:
                pieces = [Piece(f"Attempt {self.attempt} did not fail", "$fd-muted")]
        self.query_one("#task-headline", Line).say(pieces, self._state(known))

    def _say_same(self, known: TaskFacts) -> None:
        line = self.query_one("#task-same", Line)
        line.set_class(not known.failures, "-none")
        pieces = [Piece(*part) for part in same_line(known.same, known.same_runs, self.look)]
        if known.same_runs and pieces:
            pieces[-1] = Piece(pieces[-1].text, pieces[-1].style, known.same_runs[0].id)
        line.say(pieces)

    def say_drift(self, found: Drift | None) -> None:
        """Say how the shown source relates to the file of today."""
        line = self.query_one("#task-drift", Line)
        shown = found is not None and bool(found.sentence) and self.tab == "traceback"
        line.set_class(not shown, "-none")
        if found is None or not shown:
            return
        right = [Piece("d diff", "$fd-accent", "diff")] if found.diff else []
        line.say([(found.sentence, "$fd-retrying")], right)

    def show_tab(self) -> None:
        """Show what the present tab has."""
        known, look, tab = self.known, self.look, self.tab
        if known is None:
            return
        subject = (self.run_id, self.no)
        if tab == "traceback":
            failure = self.failure
            name = (subject, failure.id if failure is not None else None)
            cwd = known.run.info.get("cwd")
            base = cwd if isinstance(cwd, str) else None
            self.query_one(TracebackPane).show_exception(self.exception, name, base)
        elif tab == "states":
            self.query_one("#states", PanelView).fill(state_rows(known.states, look), subject)
        elif tab == "inputs":
            rows = input_rows(
                known.parameters, known.upstreams, known.takers, look, more=known.more_takers
            )
            self.query_one("#inputs", PanelView).fill(rows, subject)
        elif tab == "logs":
            self._show_log(known)
        else:
            self.query_one("#result", PanelView).fill(result_rows(known.result, look), subject)
        self.say_drift(self.query_one(TracebackPane).drifted)

    def _show_log(self, known: TaskFacts) -> None:
        view = self.query_one("#task-log", LogView)
        view.start_us = known.run.started_us or known.run.created_us
        shown = view.source
        if isinstance(shown, LogSource) and (shown.run_id, shown.no) == (self.run_id, self.no):
            view.reload()
        else:
            view.show(LogSource(self.app.access, self.run_id, self.no))
            view.set_follow(True)

    def focus_tab(self) -> None:
        """Put the focus on the main view of the tab."""
        self.query_one(FOCUS[self.tab][1]).focus()

    def tick(self) -> None:
        """Let running times grow."""
        known = self.known
        if self.app.screen is self and known is not None:
            record = known.record
            if record.ended_us is None and kind_of(record.code, record.named) in ACTIVE:
                self._say_headline(known)
                left, right = history_line(record, known.states, known.attempts, self.look)
                self.query_one("#task-states", Line).say(left, right)
