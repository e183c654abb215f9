"""A question with the exact object in it: cancel, delete, mark as ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from flowdeck_app.drawing.cells import clean, clean_lines
from flowdeck_app.screens.parts.base import FlowdeckModal

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class ConfirmScreen(FlowdeckModal):
    """Dismisses with ``True`` for yes, ``False`` or ``None`` for no.

    Args:
        question: names what it is about: ``"Cancel run brave-otter of etl_daily?"``.
        detail: what will happen, one or more lines.
        yes: what the button that does it says.
        danger: draw it as something that cannot be undone.
    """

    CSS_PATH = "confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", show=False),
        Binding("n", "answer(False)", "No", show=False),
        Binding("left", "go_previous_pane", show=False),
        Binding("right", "go_next_pane", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(
        self, question: str, detail: str = "", *, yes: str = "Yes", danger: bool = False
    ) -> None:
        super().__init__()
        self.question, self.detail, self.yes, self.danger = question, detail, yes, danger

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        panel = Vertical(classes="panel -danger" if self.danger else "panel")
        panel.border_subtitle = Content(f"y yes {self.look.symbols.dot} n no")
        with panel:
            yield Static(Content(clean(self.question, 500)), id="question")
            if self.detail:
                yield Static(Content("\n".join(clean_lines(self.detail, 400, 20))), id="detail")
            with Horizontal(id="answers"):
                yield Button(Content("No"), id="no", compact=True)
                yield Button(Content(clean(self.yes, 60)), id="yes", compact=True)

    @on(Button.Pressed)
    def _pressed(self, message: Button.Pressed) -> None:
        self.dismiss(message.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Answer by key."""
        self.dismiss(yes)
