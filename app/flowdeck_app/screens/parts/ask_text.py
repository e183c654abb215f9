"""A question that is answered with one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from flowdeck_app.drawing.cells import clean, clean_lines
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.widgets.toggles import LinesInput

if TYPE_CHECKING:
    from textual.app import ComposeResult


class AskTextScreen(FlowdeckModal):
    """Dismisses with the text, or ``None`` without an answer.

    Args:
        title: what the text is for.
        placeholder: what is shown while there is none.
        detail: what is to be known, one or more lines.
    """

    DEFAULT_CSS = """
    AskTextScreen > .panel { padding: 1 2; }
    AskTextScreen Input { background: $panel; border: none; height: 1; padding: 0 1; }
    AskTextScreen #detail { height: auto; max-height: 12; color: $fd-muted; margin-bottom: 1; }
    """

    def __init__(self, title: str, placeholder: str, detail: str = "") -> None:
        super().__init__()
        self._title, self._placeholder, self._detail = title, placeholder, detail

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        panel = Vertical(classes="panel")
        panel.border_title = Content(clean(self._title, 100))
        panel.border_subtitle = Content(f"enter keeps it {self.look.symbols.dot} esc cancel")
        with panel:
            if self._detail:
                lines = clean_lines(self._detail, 400, 20)
                yield Static(Content("\n".join(lines)), id="detail")
            yield LinesInput(placeholder=self._placeholder, compact=True)

    def on_mount(self) -> None:
        """Let the cursor stand in the field."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value)
