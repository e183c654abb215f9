"""Compare two runs: parameters, durations, tasks, the first difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from flowdeck_app.access import FACTS
from flowdeck_app.actions import bindings
from flowdeck_app.screens.base import FlowdeckScreen
from flowdeck_app.views.run_compare import Side, compare, compare_heads, compare_lines
from flowdeck_app.widgets.strip_widget import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_store.reader import Reader


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
        self._sides: tuple[Side, Side] | None = None
        self._gone = False
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
        if self._sides is None:
            return ("Runs", "Compare")
        left, right = self._sides
        return ("Runs", f"{left.run.name} and {right.run.name}")

    def facts(self) -> Sequence[Piece]:
        """Say what is shown."""
        return (
            Piece("differences only, d all" if self._only else "d differences only", "$fd-muted"),
        )

    def reload(self) -> None:
        """Read both runs again."""
        self._read()

    @work(exclusive=True, exit_on_error=False, group="compare")
    async def _read(self) -> None:
        left, right = self._ids

        def read(reader: Reader) -> tuple[Side, Side] | None:
            one, two = _side(reader, left), _side(reader, right)
            return None if one is None or two is None else (one, two)

        self._sides = await self.app.access.ask(read, FACTS)
        self._gone = self._sides is None
        self.refresh_breadcrumb()
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Draw for the new width."""
        super().on_resize(event)
        self._draw()

    def _lines(self) -> list[Content]:
        if self._sides is None:
            gone = "One of the two runs is no longer in the record."
            return [Content(gone if self._gone else "Reading both runs")]
        look = self.look
        sections = compare(*self._sides, look)
        return compare_lines(sections, max(self.size.width - 6, 40), look, only=self._only)

    def _heads(self) -> Content:
        if self._sides is None:
            return Content("")
        return compare_heads(*self._sides, max(self.size.width - 6, 40), self.look)

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


def _side(reader: Reader, run_id: int) -> Side | None:
    run = reader.run(run_id)
    if run is None:
        return None
    failed = reader.first_failures([run_id]).get(run_id)
    return Side(run, tuple(reader.task_groups(run_id)), failed)
