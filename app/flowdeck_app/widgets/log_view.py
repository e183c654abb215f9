"""The log of a run or a task run: follows, wraps, filters, and can be copied from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from textual.content import Content

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.ansi import without_colours
from flowdeck_app.views.log.folds import folded_traceback
from flowdeck_app.views.logs import log_lines
from flowdeck_app.widgets.lines.messages import Changed
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_store.ids import task_run_id
from flowdeck_store.read.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Source


def origin_of(row: LogRecord) -> int:
    """Return the id of the task run that wrote a line; number 0 is the flow function itself."""
    return task_run_id(row.run_id, row.task_no)


class LogView(LineView[LogRecord]):
    """Rows of :class:`~flowdeck_app.sources.LogSource`.

    Follows at first; any movement up stops it, ``G`` or ``t`` resumes.

    Attributes:
        task_names: names of task runs by their ids, for the column of origins.
        task_cells: cells of that column, 0: none.
        unfolded: tracebacks are shown in full.
        repeats: for how many lines a row stands, by its number; those that are not in it for one.
    """

    FOLLOWS: ClassVar[bool] = True
    DEFAULT_CSS = """
    LogView { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("view.follow", "view.wrap", "view.times", "view.more", "view.less", "view.all")
    ]

    def __init__(
        self,
        source: Source[LogRecord] | None = None,
        *,
        empty: tuple[str, str] = ("No log lines yet", ""),
        **names: Unpack[Names],
    ) -> None:
        super().__init__(source, empty=empty, **names)
        self._start_us: int | None = None
        self.task_names: dict[int, str] = {}
        self.task_cells = 0
        self.unfolded = False
        self.repeats: dict[int, int] = {}
        self._wrapped_before = False

    @property
    def start_us(self) -> int | None:
        """Start of the run, for relative times."""
        return self._start_us

    @start_us.setter
    def start_us(self, start_us: int | None) -> None:
        if start_us != self._start_us:  # lines that are drawn already count from it, too
            self._start_us = start_us
            self.redraw()

    def lines(self, row: LogRecord, look: Look, width: int) -> Sequence[Content]:
        """Return time, level, task and message; context of matches is faint."""
        lines = log_lines(
            row,
            look,
            width,
            wrap=self.wrapped,
            start_us=self.start_us,
            task=self.task_names.get(origin_of(row), ""),
            task_cells=self.task_cells,
            fold=not self.unfolded and not self._marks_hidden(row.message),
            times=self.repeats.get(row.seq, 1),
        )
        is_match = getattr(self.source, "is_match", None)
        if is_match is None or is_match(row):
            return lines
        return [Content.styled(line.plain, "$fd-faint") for line in lines]

    def _marks_hidden(self, message: str) -> bool:
        """Say whether a text that is searched for is in the part of a traceback that is folded."""
        texts = [text.casefold() for text in (*self.marked, self.searched) if text]
        folded = folded_traceback(message) if texts else None
        if folded is None:
            return False
        return any(text in message.casefold() and text not in folded.casefold() for text in texts)

    def action_view_all(self) -> None:
        """Show tracebacks in full, over several lines, or as one line each."""
        self.unfolded = not self.unfolded
        if self.unfolded:
            self._wrapped_before = self.wrapped
        self.set_wrap(True if self.unfolded else self._wrapped_before)

    def copy_of(self, row: LogRecord) -> tuple[str, str]:
        """Return the whole message, uncut."""
        return without_colours(row.message), "the log line"

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other lines are in view, also without the cursor having moved (wheel, scrollbar)."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(Changed(self))

    def set_wrap(self, wrap: bool) -> None:
        """Wrap long lines, or cut them."""
        self.wrapped = wrap
        self.pan = 0
        self.redraw()
        if self.follow:
            self.row_cursor.go_to_end()
        self.post_message(Changed(self))

    def action_view_follow(self) -> None:
        """Enter or leave follow mode."""
        self.set_follow(not self.follow)

    def action_view_wrap(self) -> None:
        """Wrap or cut."""
        self.set_wrap(not self.wrapped)

    def _more_context(self, lines: int) -> None:
        with_context = getattr(self.source, "with_context", None)
        if with_context is not None:
            self.show(with_context(getattr(self.source, "context", 0) + lines))

    def action_view_more(self) -> None:
        """Show more lines round each match."""
        self._more_context(2)

    def action_view_less(self) -> None:
        """Show fewer lines round each match."""
        self._more_context(-2)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Context is for filtered logs only."""
        if action in {"view_more", "view_less"} and not getattr(self.source, "query", ""):
            return False
        return super().check_action(action, parameters)

    def action_view_times(self) -> None:
        """Change how times are shown, everywhere."""
        set_times = getattr(self.app, "set_times", None)
        if set_times is not None:
            set_times(self.look.times.following)
