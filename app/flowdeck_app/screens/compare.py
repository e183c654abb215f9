"""Compare two runs: what ``flowdeck diff`` says of them, and on demand what is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from flowdeck_app.access import SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.screens.parts.renewal import Renewal
from flowdeck_app.views.comparison import compare, compare_heads, compare_lines
from flowdeck_store.explain.differences import differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.live import StoreChanged
    from flowdeck_store.explain.differences import RunDifference
    from flowdeck_store.read.reader import Reader


#: Least seconds between two readings: the task runs of both are compared one by one.
REST: Final = 2.0


class CompareScreen(FlowdeckScreen):
    """Two runs beside each other. ``d`` hides what is the same.

    Args:
        left: number of the older run.
        right: number of the newer one.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("view.diff", "take.copy")]
    DEFAULT_CSS = """
    CompareScreen #heads { height: 2; padding: 1 2 0 2; }
    CompareScreen #sheet { height: 1fr; padding: 0 2 1 2; }
    CompareScreen #lines { height: auto; }
    """

    def __init__(self, left: int, right: int) -> None:
        super().__init__()
        self._ids = (left, right)
        self._found: RunDifference | None = None
        self._gone = False
        self._trouble = ""
        self._reading = Renewal(self, self._load, self._failed, rest=REST)
        self._only = False

    def compose_content(self) -> ComposeResult:
        """Yield the scrolling sheet."""
        yield Static(Content(""), id="heads", markup=False)
        with VerticalScroll(id="sheet"):
            yield Static(Content("Reading both runs"), id="lines", markup=False)

    def on_mount(self) -> None:
        """Let the arrow keys scroll."""
        self.query_one("#sheet").focus()

    def trail(self) -> Sequence[str]:
        """Return the two names."""
        if self._found is None:
            return ("Runs", "Compare")
        return ("Runs", f"{self._found.before.name} and {self._found.now.name}")

    def facts(self) -> Sequence[Piece]:
        """Say what is shown."""
        return (
            Piece("differences only, d all" if self._only else "d differences only", "$fd-muted"),
        )

    def reload(self) -> None:
        """Read both runs again."""
        self._reading.ask()

    def store_changed(self, message: StoreChanged) -> None:
        """Read again when one of the runs may have changed."""
        if any(message.touches(run_id) for run_id in self._ids):
            self.reload()

    async def _load(self) -> None:
        left, right = self._ids

        def read(reader: Reader) -> RunDifference | None:
            before, now = reader.run(left), reader.run(right)
            return None if before is None or now is None else differences(reader, before, now)

        self._found = await self.app.access.ask(read, SLOW)
        self._gone, self._trouble = self._found is None, ""
        self.refresh_breadcrumb()
        self._draw()

    def _failed(self, error: Exception) -> None:
        self._trouble = f"The record does not answer: {clean(str(error), 300, newline=' ')}"
        if self._found is None:
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        super().on_resize(event)
        self._draw()

    def ages_pass(self) -> None:
        """Say anew how long ago both runs were."""
        super().ages_pass()
        self._draw()

    def _lines(self) -> list[Content]:
        if self._found is None:
            gone = "One of the two runs is no longer in the record."
            return [Content(self._trouble or (gone if self._gone else "Reading both runs"))]
        look = self.look
        sections = compare(self._found, look)
        return compare_lines(sections, max(self.size.width - 6, 40), look, only=self._only)

    def _heads(self) -> Content:
        if self._found is None:
            return Content("")
        return compare_heads(self._found, max(self.size.width - 6, 40), self.look)

    def _draw(self) -> None:
        if self.is_mounted:
            self.query_one("#heads", Static).update(self._heads())
            self.query_one("#lines", Static).update(Content("\n").join(self._lines()))

    def action_view_diff(self) -> None:
        """Show only what differs, or everything."""
        self._only = not self._only
        self.refresh_breadcrumb()
        self._draw()

    def copy_focused(self) -> None:
        """Copy the sheet as text."""
        lines = [self._heads(), *self._lines()]
        self.app.copy("\n".join(line.plain.rstrip() for line in lines), "the comparison")
