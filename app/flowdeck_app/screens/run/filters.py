"""The filters of a run's views: what is typed, and what was chosen by a key or a click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from flowdeck_app.views.logs import LEVELS
from flowdeck_app.widgets.query_bar import QueryBar

if TYPE_CHECKING:
    from flowdeck_app.widgets.guard import Names

PROBLEM_WORDS: Final = "state:failed,crashed,retrying,late,notready"
_WARNING: Final = LEVELS.index("warning")


class TaskFilter(QueryBar):
    """The filter of tasks and timeline.

    Attributes:
        bucket: the chip that is filtered by.
        problems: only what went wrong.
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__("tasks", "state:failed task:fetch* duration:>5s text", **names)
        self.bucket = ""
        self.problems = False

    @property
    def in_force(self) -> str:
        """All of it as one text: what is typed, the chip, and only problems."""
        parts = [self.applied]
        if self.bucket:
            parts.append(f"state:{self.bucket.replace('_', '')}")
        if self.problems:
            parts.append(PROBLEM_WORDS)
        return " ".join(part for part in parts if part)

    def toggle_problems(self) -> None:
        """Let only problems through, or all again."""
        self.problems = not self.problems

    def clear_choices(self) -> bool:
        """Take back what was not typed; ``False``: there was nothing."""
        chosen = bool(self.bucket) or self.problems
        self.bucket, self.problems = "", False
        return chosen


class LogFilter(QueryBar):
    """The filter of the log.

    Attributes:
        level: place of the least level in ``LEVELS``; 0 lets all through.
        mine: leave out what the engine says of every run.
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__("logs", "level:warning logger:x text", **names)
        self.level = 0
        self.mine = False

    @property
    def in_force(self) -> str:
        """All of it as one text: what is typed, the least level, and whose lines."""
        parts = [self.applied]
        if self.level:
            parts.append(f"level:{LEVELS[self.level]}")
        if self.mine:
            parts.append("by:mine")
        return " ".join(part for part in parts if part)

    def step_level(self, step: int) -> None:
        """Go on to the next least level, round the end."""
        self.level = (self.level + step) % len(LEVELS)

    def toggle_problems(self) -> None:
        """Let warnings and errors through, or all again."""
        self.level = 0 if self.level == _WARNING else _WARNING

    def clear_choices(self) -> bool:
        """Take back what was not typed; ``False``: there was nothing."""
        chosen = self.level > 0 or self.mine
        self.level, self.mine = 0, False
        return chosen
