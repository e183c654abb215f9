"""The Logs tab of a run: its log, and a line that says what of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual import on
from textual.containers import Vertical

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.panes import RunLog
from flowdeck_app.views.logs import LEVELS
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.lines.messages import Changed, Highlighted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord


class LogsPane(Living, Vertical):
    """The log of the flow and of all its task runs.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self._level = 0
        self._query = ""

    def compose(self) -> ComposeResult:
        """Yield the log and its status."""
        yield RunLog(self.run_id, id="run-log")
        yield Line(id="log-status")

    @property
    def log_view(self) -> RunLog:
        """The lines."""
        return self.query_one("#run-log", RunLog)

    def on_mount(self) -> None:
        """Take up what is remembered."""
        self.log_view.wrapped = self.app.state.get("run.log", "wrap", default=False)

    def show_run(self, run: FlowRunRecord) -> None:
        """Count the times from the start of the run."""
        self.log_view.start_us = zero_us(run)
        self.say_status()

    def renew(self, query: str) -> None:
        """Read the lines anew, under a filter."""
        self._query = query
        self.log_view.renew(query)
        self.say_status()

    def show_level(self, level: int) -> None:
        """Say which level is the least, as a place in ``LEVELS``."""
        self._level = level
        self.say_status()

    def focus_rows(self) -> None:
        """Put the focus on the lines."""
        self.log_view.focus()

    def say_status(self) -> None:
        """Say what is shown of the log, and how."""
        if not self.display:
            return
        view = self.log_view
        level = LEVELS[self._level] if self._level else "all"
        left: list[tuple[str, str] | Piece] = [
            ("levels ", "$fd-faint"), Piece(level if level == "all" else f"{level} and above", "$fd-muted", "level"),
            ("   wrap ", "$fd-faint"), Piece("on" if view.wrapped else "off", "$fd-muted", "wrap"),
            ("   times ", "$fd-faint"), Piece(self.app.look.times.value, "$fd-muted", "times"),
        ]  # fmt: skip
        more = f"+{view.new_below} line{'' if view.new_below == 1 else 's'}, " * (
            view.new_below > 0
        )
        follow = "following" if view.follow else f"{more}G follows"
        right: list[tuple[str, str] | Piece] = [Piece(follow, "$fd-muted", "follow")]
        if self._query and view.loaded and view.count:
            gap = self.app.symbols.group
            place = f"{number(view.cursor + 1, gap)}/{number(view.count, gap)}   "
            right.insert(0, (place, "$fd-accent"))
        self.query_one("#log-status", Line).say(left, right)

    @on(Highlighted)
    def _line_chosen(self) -> None:
        if self._query:
            self.say_status()

    @on(Changed)
    def _lines_changed(self) -> None:
        self.app.state.remember("run.log", "wrap", value=self.log_view.wrapped)
        self.say_status()

    @on(Line.Picked)
    def _status_picked(self, message: Line.Picked) -> None:
        if message.key == "wrap":
            self.log_view.action_view_wrap()
        elif message.key == "follow":
            self.log_view.action_view_follow()
