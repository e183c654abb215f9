"""The lines below the views of a task run: its states, its inputs, why it went as it did, where
else it failed the same way, and whether its source has changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.events.living import Living
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.task.lines import history_line, inputs_line, same_line
from flowdeck_app.screens.task.why import TaskWhyLines

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_app.host import HostApp
    from flowdeck_app.screens.task.drift import Drift
    from flowdeck_app.screens.task.facts import TaskFacts


class TaskSummary(Living, Vertical):
    """Shows what it is given; a click on a run or on the diff is a ``Line.Picked``."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    TaskSummary { height: auto; }
    """

    def compose(self) -> ComposeResult:
        """Yield the lines."""
        yield Line(id="task-states")
        yield Line(id="task-inputs")
        yield TaskWhyLines(id="task-why")
        yield Line(id="task-same")
        yield Line(id="task-drift")

    @property
    def why(self) -> TaskWhyLines:
        """Why it went as it did."""
        return self.query_one(TaskWhyLines)

    def _line(self, name: str) -> Line:
        return self.query_one(f"#task-{name}", Line)

    def show_task(self, known: TaskFacts) -> None:
        """Say what is known of a task run."""
        self.say_history(known)
        self._line("inputs").say(inputs_line(known.parameters, known.upstreams, self.app.look))
        self.why.show_task(known)
        self.say_same(known)

    def say_history(self, known: TaskFacts) -> None:
        """Say which states it had, and how long it waited and ran."""
        look = self.app.look
        left, right = history_line(known.record, known.states, known.attempts, look)
        self._line("states").say(left, right)

    def say_same(self, known: TaskFacts) -> None:
        """Say where else it failed the same way, and how long ago."""
        line = self._line("same")
        line.set_class(not known.failures, "-none")
        pieces = [Piece(*part) for part in same_line(known.same, known.same_runs, self.app.look)]
        if known.same_runs and pieces:
            pieces[-1] = Piece(pieces[-1].text, pieces[-1].style, known.same_runs[0].id)
        line.say(pieces)

    def say_drift(self, found: Drift | None) -> None:
        """Say how the shown source relates to the file of today."""
        line = self._line("drift")
        shown = found is not None and bool(found.sentence)
        line.set_class(not shown, "-none")
        if found is not None and shown:
            right = [Piece("d diff", "$fd-accent", "diff")] if found.diff else []
            line.say([(found.sentence, "$fd-retrying")], right)
