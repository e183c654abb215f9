"""The Logs tab of a run: levels over time, its log, and a line that says what of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from textual import on, work
from textual.containers import Vertical
from textual.message import Message

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.renewal import records_of
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.log_reading import LevelReading, LogSubject, PatternReading
from flowdeck_app.screens.run.panes import ReadingFailed, RunLog
from flowdeck_app.views.log.folds import pattern_rows
from flowdeck_app.views.logs import LEVELS
from flowdeck_app.views.run_header import zero_us
from flowdeck_app.widgets.lines.messages import Changed, Highlighted
from flowdeck_app.widgets.log_levels import LogLevels

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.host import HostApp
    from flowdeck_app.views.log.folds import LogPatterns
    from flowdeck_app.views.log.levels import LevelBins
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord


class LogsPane(Living, Vertical):
    """The log of the flow and of all its task runs.

    Args:
        run_id: number of the flow run.
    """

    app: HostApp  # narrower than Textual's, for the checker

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("view.mine", "view.patterns")]

    class MineWanted(Message):
        """What the engine says of every run is to be left out, or shown again."""

    def __init__(self, run_id: int, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.run_id = run_id
        self.patterns = False
        self._level, self._mine = 0, False
        self._query = ""
        self._zero_us = self._span_us = 0
        self._levels = LevelReading(self, self._show_levels, self._failed)
        self._folding = PatternReading(self, self._show_patterns, self._failed)

    def compose(self) -> ComposeResult:
        """Yield levels, log and status."""
        yield LogLevels(id="log-levels")
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
        self._zero_us = run.created_us
        self._span_us = (run.ended_us or self.app.clock()) - run.created_us
        self.say_status()

    def renew(self, query: str) -> None:
        """Read the lines anew, under a filter."""
        self._query = query
        playhead = getattr(self.screen, "playhead", None)
        turns = 0 if playhead is None else playhead.turns
        subject = LogSubject(records_of(self), self.run_id, self.log_view.whole, query, turns)
        if self.patterns:
            self._folding.ask(subject)
        else:
            self.log_view.renew(query)
        if self._zero_us:
            self._levels.ask(subject, self._zero_us, self._span_us)
        self.say_status()

    def show_choices(self, level: int, *, mine: bool) -> None:
        """Say which level is the least, as a place in ``LEVELS``, and whose lines are shown."""
        self._level, self._mine = level, mine
        self.say_status()

    def focus_rows(self) -> None:
        """Put the focus on the lines."""
        self.log_view.focus()

    # -- what is counted -------------------------------------------------------------------

    def _show_levels(self, bins: LevelBins) -> None:
        self.query_one(LogLevels).show_bins(bins)

    def _show_patterns(self, found: LogPatterns) -> None:
        if self.patterns:
            self.log_view.show_patterns(*pattern_rows(found))
            self.say_status()

    def _failed(self, error: Exception) -> None:
        self.post_message(ReadingFailed(error))

    def action_view_mine(self) -> None:
        """Leave out what the engine says of every run, or show all again."""
        self.post_message(self.MineWanted())

    def action_view_patterns(self) -> None:
        """Show lines of one pattern as one, or all lines again."""
        self.patterns = not self.patterns
        self._folding.forget()
        self.renew(self._query)

    @on(RunLog.FirstWanted)
    @work(group="first-line", exclusive=True, exit_on_error=False)
    async def _first_wanted(self, message: RunLog.FirstWanted) -> None:
        """Show the first line of a pattern among the others."""
        message.stop()
        self.action_view_patterns()
        await self._go_to(message.seq)

    @on(LogLevels.Picked)
    @work(group="first-line", exclusive=True, exit_on_error=False)
    async def _level_picked(self, message: LogLevels.Picked) -> None:
        """Go to the first line of the time that was clicked."""
        message.stop()
        await self._go_to(message.seq)

    async def _go_to(self, seq: int) -> None:
        view = self.log_view
        view.set_follow(False)
        view.row_cursor.bind(seq)
        await view.select_key(seq)

    # -- its status line -------------------------------------------------------------------

    def say_status(self) -> None:
        """Say what is shown of the log, and how."""
        if not self.display:
            return
        view = self.log_view
        level = LEVELS[self._level] if self._level else "all"
        lines = ("mine" if self._mine else "all") + (", folded" if self.patterns else "")
        left: list[tuple[str, str] | Piece] = [
            ("levels ", "$fd-faint"), Piece(level if level == "all" else f"{level} and above", "$fd-muted", "level"),
            ("   lines ", "$fd-faint"), Piece(lines, "$fd-muted", "mine"),
            ("   wrap ", "$fd-faint"), Piece("on" if view.wrapped else "off", "$fd-muted", "wrap"),
            ("   times ", "$fd-faint"), Piece(self.app.look.times.value, "$fd-muted", "times"),
        ]  # fmt: skip
        more = f"+{view.new_below} line{'' if view.new_below == 1 else 's'}, " * (
            view.new_below > 0
        )
        follow = "following" if view.follow else f"{more}G follows"
        right: list[tuple[str, str] | Piece] = [Piece(follow, "$fd-muted", "follow")]
        if (self._query or self.patterns) and view.loaded and view.count:
            gap = self.app.symbols.group
            place = f"{number(view.cursor + 1, gap)}/{number(view.count, gap)}   "
            right.insert(0, (place, "$fd-accent"))
        self.query_one("#log-status", Line).say(left, right)

    @on(Highlighted)
    def _line_chosen(self, message: Highlighted) -> None:
        row = message.row
        following = self.log_view.follow or row is None
        self.query_one(LogLevels).show_place(None if following else row.us)
        if self._query or self.patterns:
            self.say_status()

    @on(Changed)
    def _lines_changed(self) -> None:
        if not self.log_view.unfolded:
            self.app.state.remember("run.log", "wrap", value=self.log_view.wrapped)
        if self.log_view.follow:
            self.query_one(LogLevels).show_place(None)
        self.say_status()

    @on(Line.Picked)
    def _status_picked(self, message: Line.Picked) -> None:
        if message.key == "wrap":
            self.log_view.action_view_wrap()
        elif message.key == "follow":
            self.log_view.action_view_follow()
        elif message.key == "mine":
            self.action_view_mine()
