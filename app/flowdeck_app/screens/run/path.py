"""The line below the timeline and the graph of a run: what the marks of the critical path say.

The path of a run of 100,000 task runs takes a while to find. So it is asked for only while a tab is
shown that marks it, in the lane of what may take long, at most every few seconds, and of a run that
has ended once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual.message import Message

from flowdeck_app.access import SLOW
from flowdeck_app.screens.parts.renewal import Renewal, records_of
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.screens.run.panes import ReadingFailed
from flowdeck_app.views.critical_path import PathMarks, legend, read_marks

if TYPE_CHECKING:
    from collections.abc import Hashable

    from textual import events

    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.records import FlowRunRecord

#: Tabs that mark the path.
WITH_PATH: Final = frozenset({"timeline", "graph"})
#: Least seconds between two readings.
PATH_REST: Final = 4.0
#: Cells at both sides of the line together.
_MARGIN: Final = 4


class PathLegend(Line):
    """Reads the path, says what its time was spent on, and tells what is on it."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    PathLegend { display: none; padding: 0 2; }
    PathLegend.-shown { display: block; }
    """

    class Found(Message):
        """What lies on the path is known (anew)."""

        def __init__(self, marks: PathMarks) -> None:
            super().__init__()
            self.marks = marks

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._run: FlowRunRecord | None = None
        self._is_wanted = False
        self._marks: PathMarks | None = None
        self._marks_of: Hashable = None
        self._reading = Renewal(self, self._load, self._failed, rest=PATH_REST)

    def show_run(self, run: FlowRunRecord) -> None:
        """Take note of the run, which was read anew."""
        self._run = run

    def renew(self, tab: str) -> None:
        """Show the line on the tabs that mark the path, and bring it up to date there."""
        self._is_wanted = tab in WITH_PATH
        self._say()
        if self._is_wanted:
            self._reading.ask()

    async def _load(self) -> None:
        run, now = self._run, self.app.look.now_us
        if run is None or not self._is_wanted:
            return
        ended = (run.id, run.ended_us, run.counts) if run.is_final else None
        if ended is not None and ended == self._marks_of:
            return
        marks = await records_of(self).ask(lambda reader: read_marks(reader, run, now), SLOW)
        self._marks_of = ended
        if marks is not None:
            self._marks = marks
            self._say()
            self.post_message(self.Found(marks))

    def _failed(self, error: Exception) -> None:
        self.post_message(ReadingFailed(error))

    def _say(self) -> None:
        marks = self._marks
        self.set_class(self._is_wanted and marks is not None and bool(marks.path.links), "-shown")
        if marks is not None:
            self.say(*legend(marks.path, self.app.look, self.app.size.width - _MARGIN))

    def on_resize(self, event: events.Resize) -> None:
        """Say as much as there is room for now."""
        self._say()
