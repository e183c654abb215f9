"""A text in a dialog that can be scrolled and copied: errors, long values, a whole log line."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean, clean_lines
from flowdeck_app.screens.parts.base import FlowdeckModal

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


class MessageScreen(FlowdeckModal):
    """Shows a text as it is.

    Args:
        title: heading, any text.
        text: any text, any length; what cannot be drawn is cut, :meth:`action_take_copy` has all.
        error: draw the frame in the colour of failures.
    """

    CSS_PATH = "message.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("take.copy")]

    def __init__(self, title: str, text: str, *, error: bool = False) -> None:
        super().__init__()
        self.heading, self.text, self.error = title, text, error

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        panel = Vertical(classes="panel -error" if self.error else "panel")
        panel.border_title = Content(clean(self.heading, 200))
        panel.border_subtitle = Content(f"y copy {self.look.symbols.dot} esc close")
        with panel, VerticalScroll(id="message-scroll"):
            yield Static(Content("\n".join(clean_lines(self.text, most=2000))), id="message-text")

    def action_take_copy(self) -> None:
        """Copy the selected text, or all of it."""
        if self.selections:
            self.app.action_app_copy_selection()
            return
        self.app.copy(self.text, "the message")
