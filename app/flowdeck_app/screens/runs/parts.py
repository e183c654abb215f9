"""Parts of the history: saved views, figures, preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from textual import work
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from flowdeck_app.access import FACTS
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import duration
from flowdeck_app.events.living import Living
from flowdeck_app.screens.runs.preview_text import PreviewFacts, preview_lines
from flowdeck_app.views.comparison import parameters_of
from flowdeck_app.widgets.guard import look_of
from flowdeck_app.widgets.strip_widget import StripWidget
from flowdeck_store.query.language import quote
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.app import ComposeResult, RenderResult

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.ui_state import UiState
    from flowdeck_app.widgets.guard import Names
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord
    from flowdeck_store.read.summaries import RunSummary

#: Views that are always there: name and filter.
_BUILT_IN: Final = (
    ("All", ""),
    ("Running", "state:running"),
    ("Failed", "state:problem"),
    ("Today", "since:24h"),
)
#: Views of the user's that are kept.
_MOST_VIEWS: Final = 12


class ViewsStrip(StripWidget):
    """Saved filters in a line; the present one in brackets.

    Args:
        state: where the user's own views are remembered.
    """

    query_text: reactive[str] = reactive("")

    class Chosen(Message):
        """A view was chosen."""

        def __init__(self, strip: ViewsStrip, text: str) -> None:
            super().__init__()
            self.strip, self.text = strip, text

        @property
        def control(self) -> ViewsStrip:
            """The strip that sent it."""
            return self.strip

    def __init__(self, state: UiState, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self._state = state

    @property
    def views(self) -> list[tuple[str, str]]:
        """All views: name and filter."""
        own = self._state.get("runs", "views", default=[])
        kept = [(text, text) for text in own if isinstance(text, str)] if own else []
        return [*_BUILT_IN, *kept]

    def save(self, text: str) -> None:
        """Keep a filter as a view."""
        own = [kept for kept in self._state.get("runs", "views", default=[]) if kept != text]
        self._state.remember("runs", "views", value=[*own, text][-_MOST_VIEWS:])
        self.refresh()

    def step(self, by: int) -> None:
        """Choose the next view."""
        texts = [text for _, text in self.views]
        here = texts.index(self.query_text) if self.query_text in texts else 0
        self.post_message(self.Chosen(self, texts[(here + by) % len(texts)]))

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        pieces = [Piece("Views  ", "$fd-faint")]
        for name, text in self.views:
            shown = clean(name, 24, ascii_only=look.symbols.ascii)
            if text == self.query_text:
                pieces.append(Piece(f"[{shown}] ", "bold $fd-accent", text))
            else:
                pieces.append(Piece(f" {shown}  ", "$fd-muted", text))
        return [spread(pieces, [], cells)]

    def picked(self, key: Hashable) -> None:
        """Tell which view."""
        if isinstance(key, str):
            self.post_message(self.Chosen(self, key))


_SHOWN: Final = (
    ("completed", Kind.COMPLETED),
    ("running", Kind.RUNNING),
    ("failed", Kind.FAILED),
    ("crashed", Kind.CRASHED),
    ("cancelled", Kind.CANCELLED),
)


class SummaryLine(StripWidget):
    """Counts and durations of what the filter lets through."""

    summary: reactive[RunSummary | None] = reactive(None)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        left = [Piece("Runs, last 7 days    ", "$fd-muted")]
        summary = self.summary
        if summary is None:
            return [left]
        counts = dict(zip(BUCKETS, summary.counts, strict=True))
        for name, kind in _SHOWN:
            if counts[name]:
                left.append(Piece(f"{look.symbols.of(kind)} ", SIGNS[kind].style))
                left.append(Piece(f"{number(counts[name], look.symbols.group)}   "))
        dash = look.dash
        text = f"p50 {duration(summary.p50, dash)}   p95 {duration(summary.p95, dash)}"
        return [spread(left, [Piece(text, "$fd-muted")], cells)]


def read_preview(reader: Reader, run: FlowRunRecord) -> PreviewFacts:
    """Read what the preview shows; runs on a lane's thread."""
    cause = reader.cause(run)
    task = reader.first_failure(run.id) if cause is None else cause.task
    failures: list[Any] = []
    if task is not None:
        failures = list(reader.failures(task.run_id, task.no))
    elif run.counts[4] or run.code in (4, 5):
        failures = list(reader.failures(run.id, 0))
    query = f"flow:{quote(run.flow)} state:completed"
    before = [r for r in reader.runs(query, before_id=run.id, limit=1) if r.id != run.id]
    same = parameters_of(before[0]) == parameters_of(run) if before else None
    return PreviewFacts(run, task, failures[-1] if failures else None, same)


class RunPreview(Living, Widget):
    """Draws a :class:`~flowdeck_app.screens.runs.preview_text.PreviewFacts`."""

    preview: reactive[PreviewFacts | None] = reactive(None)

    def render(self) -> RenderResult:
        """Return the lines."""
        if self.preview is None:
            return Content("")
        cells = max(self.size.width, 20)
        return Content("\n").join(preview_lines(self.preview, cells, look_of(self.app)))


class PreviewPane(Living, Container):
    """The frame round the preview, which reads what it shows."""

    app: HostApp  # narrower than Textual's, for the checker

    def compose(self) -> ComposeResult:
        """Yield the preview."""
        yield RunPreview(id="preview")

    @property
    def preview(self) -> PreviewFacts | None:
        """What is shown."""
        return self.query_one(RunPreview).preview

    @work(exclusive=True, exit_on_error=False, group="preview")
    async def show_run(self, run: FlowRunRecord | None) -> None:
        """Read and show another run, or none."""
        found = None
        if run is not None:
            found = await self.app.access.ask(lambda reader: read_preview(reader, run), FACTS)
        self.query_one(RunPreview).preview = found
        self.border_title = Content(clean(run.name, 60)) if run is not None else ""
