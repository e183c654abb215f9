"""Why a task run went as it did, in the lines below its views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual import work

from flowdeck_app.access import SLOW
from flowdeck_app.drawing.cells import clean, width
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.reports.why import run_sentences, task_sentences
from flowdeck_app.screens.parts.headline import first_lines
from flowdeck_app.screens.parts.reasons import read_reasons
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.screens.parts.strips import Line
from flowdeck_store.errors import StoreError
from flowdeck_store.explain.flow_run import why_run
from flowdeck_store.explain.task_run import why_task
from flowdeck_store.upkeep.slot_holders import slot_holders_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.geometry import Size

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.screens.task.facts import TaskFacts
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord, TaskRunRecord

_LABEL: Final = "Why     "
#: Lines at most.
_MOST: Final = 3
#: Least seconds between two readings of a task run that goes on.
_REST: Final = 2.0


class TaskWhyLines(Line):
    """What a task run waited for, ran, was skipped for, or took over; nothing of the flow itself."""

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    TaskWhyLines { height: auto; }
    """

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._known: TaskFacts | None = None
        self._told_of: Hashable = None
        self._said = ""
        self._reading = Renewal(self, self._load, self._failed, rest=_REST)

    def show_task(self, known: TaskFacts) -> None:
        """Say it of a task run that was read anew; of one that has ended it is read once."""
        before, self._known = self._known, known
        if before is None or before.record.id != known.record.id:
            self._say("")
        if known.record.no and self._told_of != known.record:
            self._reading.ask()

    async def _load(self) -> None:
        known, now = self._known, self.app.look.now_us
        if known is None or known.record == self._told_of:
            return
        record = known.record
        said = await self.app.access.ask(lambda reader: read_reasons(reader, record, now), SLOW)
        if self._known is None or self._known.record.id != record.id:
            self._reading.ask()
            return
        self._told_of = record if record.ended_us is not None else None
        self._say(clean(" ".join(said), 2000, newline=" ", ascii_only=self.app.symbols.ascii))

    def _failed(self, error: Exception) -> None:
        """The screen, which reads the same record, says it."""

    def _say(self, text: str) -> None:
        self._said = text
        self.set_class(not text, "-none")
        self.refresh(layout=True)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the label with the first line, and the others below it."""
        lines = first_lines(self._said, cells - width(_LABEL), _MOST, look.ellipsis)
        labels = [Piece(_LABEL, "$fd-accent"), *[Piece(" " * width(_LABEL))] * (_MOST - 1)]
        return [[label, Piece(line, "", "why")] for label, line in zip(labels, lines, strict=False)]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines for the width that it is about to get, not for the one it has."""
        return len(self.rows(self.look, width))

    def picked(self, key: Hashable) -> None:
        """Show all of it."""
        self.open_all()

    @work(group="why", exclusive=True, exit_on_error=False)
    async def open_all(self) -> None:
        """Show all that is known of it; of the flow itself, of its run."""
        known, now = self._known, self.app.look.now_us
        if known is None:
            return
        try:
            said = await self.app.access.ask(
                lambda reader: _sentences(reader, known.run, known.record, now), SLOW
            )
        except StoreError as error:
            self.app.say(clean(str(error), 300, newline=" "), "warning")
        else:
            self.app.show_message(f"Why {known.record.label}", "\n\n".join(said))


def _sentences(reader: Reader, run: FlowRunRecord, task: TaskRunRecord, now_us: int) -> list[str]:
    if task.no:
        holders = slot_holders_of(reader, task)
        return task_sentences(why_task(reader, task, now_us), now_us, holders)
    return run_sentences(why_run(reader, run, now_us), now_us)
