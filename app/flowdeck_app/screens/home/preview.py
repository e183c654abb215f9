"""Home's preview of the flow under the cursor: what it reads, and the widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from flowdeck_app.access import FACTS
from flowdeck_app.drawing.cells import clean
from flowdeck_app.events.living import Living
from flowdeck_app.screens.home.flow_preview import FlowFailure, failed_run_of, preview_lines
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.widgets.guard import look_of

if TYPE_CHECKING:
    from textual.app import RenderResult

    from flowdeck_app.flow_list import FlowRow
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader


def read_failure(reader: Reader, run_id: int) -> FlowFailure | None:
    """Read what a run failed of; runs on a lane's thread."""
    run = reader.run(run_id)
    if run is None:
        return None
    cause = reader.cause(run)
    return FlowFailure(run, (cause.headline if cause is not None else "") or run.state)


class FlowPreview(Living, Widget):
    """Draws a flow of the list, and what the last of its runs that failed failed of."""

    app: HostApp  # narrower than Textual's, for the checker

    row: reactive[FlowRow | None] = reactive(None)
    failure: reactive[FlowFailure | None] = reactive(None)

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._reading = Renewal(self, self._load, self._unread)

    def watch_row(self, row: FlowRow | None) -> None:
        """Name the flow in the frame, and read of its last failure."""
        if isinstance(self.parent, Widget):
            name = "" if row is None else row.name
            shown = clean(name, 60, ascii_only=look_of(self.app).symbols.ascii)
            self.parent.border_title = Content(shown)  # a text would be read as markup
        wanted = None if row is None else failed_run_of(row)
        if wanted is not None and (self.failure is None or self.failure.run.id != wanted):
            self._reading.ask()

    async def _load(self) -> None:
        wanted = None if self.row is None else failed_run_of(self.row)
        if wanted is not None:
            self.failure = await self.app.access.ask(lambda r: read_failure(r, wanted), FACTS)

    def _unread(self, error: Exception) -> None:
        self.failure = None  # Home says elsewhere why the record does not answer

    def render(self) -> RenderResult:
        """Return the lines."""
        row, failure = self.row, self.failure
        if row is None:
            return Content("")
        if failure is not None and failure.run.id != failed_run_of(row):
            failure = None  # of the flow that the cursor was on before
        cells, height = max(self.size.width, 10), max(self.size.height, 1)
        return Content("\n").join(preview_lines(row, failure, cells, height, look_of(self.app)))
