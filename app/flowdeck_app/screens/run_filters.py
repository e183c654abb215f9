"""The filters of a run's views, and the lines that tell them."""

from __future__ import annotations

from typing import Final

from flowdeck_app.screens.run_base import RunBase
from flowdeck_app.screens.run_strips import Line
from flowdeck_app.views.logs import LEVELS
from flowdeck_app.views.text import clean, number
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.strip_widget import Piece
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_app.widgets.task_table import TaskTable

PROBLEM_WORDS: Final = "state:failed,crashed,retrying,late,notready"
ORDER_WORDS: Final = {
    "problems": "problems, running, then start",
    "start": "start",
    "duration": "time",
    "name": "name",
    "number": "number",
}


class RunFilters(RunBase):
    """Which rows of a run are shown, and in which order."""

    def __init__(self, run_id: int) -> None:
        super().__init__(run_id)
        self.bucket = ""
        self.problems = False
        self.level = 0
        self.task_order = "problems"

    @property
    def tab(self) -> str:
        """Key of the shown tab."""
        return self.query_one("#run-tabs", TabStrip).active

    @property
    def table(self) -> TaskTable:
        """The table of task runs."""
        return self.query_one("#task-table", TaskTable)

    # -- filters ---------------------------------------------------------------------------

    @property
    def task_query(self) -> str:
        """The filter of tasks and timeline: what is typed, the chip, and only problems."""
        parts = [self.query_one("#task-query", QueryBar).applied]
        if self.bucket:
            parts.append(f"state:{self.bucket.replace('_', '')}")
        if self.problems:
            parts.append(PROBLEM_WORDS)
        return " ".join(part for part in parts if part)

    @property
    def log_query(self) -> str:
        """The filter of the log: what is typed, and the least level."""
        parts = [self.query_one("#log-query", QueryBar).applied]
        if self.level:
            parts.append(f"level:{LEVELS[self.level]}")
        return " ".join(part for part in parts if part)

    # -- status lines ----------------------------------------------------------------------

    def say_status(self) -> None:
        """Say how the rows are sorted, filtered and grouped."""
        self._say_task_status()
        if self.tab == "logs":
            self._say_log_status()

    def _say_task_status(self) -> None:
        grouped = self.has_class("-grouped")
        query = clean(self.task_query, 200) or "none"
        left: list[tuple[str, str] | Piece] = [
            ("sort ", "$fd-faint"), Piece(ORDER_WORDS[self.task_order.removeprefix("-")], "$fd-muted", "sort"),
            ("   filter ", "$fd-faint"), Piece(query, "$fd-muted", "filter"),
            ("   group by task ", "$fd-faint"), Piece("on" if grouped else "off", "$fd-muted", "group"),
        ]  # fmt: skip
        right: list[tuple[str, str]] = []
        if self.task_query and self.table.loaded:
            total = self.run.n_tasks if self.run else 0
            signs = self.look.symbols
            right = [
                (
                    f"{number(self.table.count, signs.group)} of {number(total, signs.group)}",
                    "$fd-muted",
                )
            ]
        elif self.table.marks:
            right = [(f"{len(self.table.marks)} marked", "$fd-muted")]
        self.query_one("#task-status", Line).say(left, right)

    def _say_log_status(self) -> None:
        view = self.query_one("#run-log", LogView)
        level = LEVELS[self.level] if self.level else "all"
        left: list[tuple[str, str] | Piece] = [
            ("levels ", "$fd-faint"), Piece(level if level == "all" else f"{level} and above", "$fd-muted", "level"),
            ("   wrap ", "$fd-faint"), Piece("on" if view.wrapped else "off", "$fd-muted", "wrap"),
            ("   times ", "$fd-faint"), Piece(self.look.times.value, "$fd-muted", "times"),
        ]  # fmt: skip
        more = f"+{view.new_below} line{'' if view.new_below == 1 else 's'}, " * (
            view.new_below > 0
        )
        follow = "following" if view.follow else f"{more}G follows"
        self.query_one("#log-status", Line).say(left, [Piece(follow, "$fd-muted", "follow")])
