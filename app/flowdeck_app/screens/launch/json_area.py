"""A text area for JSON in the colours of the app, with what is wrong marked where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import TextArea

from flowdeck_app.screens.launch.json_marks import coloured
from flowdeck_app.widgets.toggles import drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from flowdeck_app.screens.launch.json_marks import TextPlace


class JsonArea(TextArea):
    """Edits JSON.

    Args:
        text: to begin with.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "json--key", "json--text", "json--number", "json--word", "json--wrong",
    }  # fmt: skip
    DEFAULT_CSS = """
    JsonArea { background: $panel; border: none; padding: 0; }
    JsonArea:focus { border: none; }
    JsonArea .text-area--gutter { color: $fd-faint; }
    JsonArea .text-area--cursor-gutter { color: $fd-muted; background: $panel; text-style: none; }
    JsonArea .text-area--cursor-line { background: $panel; }
    JsonArea .json--key { color: $fd-accent; }
    JsonArea .json--text { color: $fd-completed; }
    JsonArea .json--number { color: $fd-retrying; }
    JsonArea .json--word { color: $fd-cancelled; }
    JsonArea .json--wrong { color: $fd-failed; text-style: underline bold; }
    """

    def __init__(self, text: str) -> None:
        super().__init__(text, show_line_numbers=True)
        self.cursor_blink = False  # as in the fields of the form
        self.indent_width = 2
        self._wrong: tuple[TextPlace, ...] = ()

    def mark(self, wrong: Sequence[TextPlace]) -> None:
        """Mark these places as wrong, and no others."""
        if tuple(wrong) != self._wrong:
            self._wrong = tuple(wrong)
            self.notify_style_update()
            self.refresh()

    def go_to(self, place: TextPlace) -> None:
        """Put the cursor on a place."""
        self.move_cursor((place.line, place.column), center=True)

    def get_line(self, line_index: int) -> Text:
        """Return a line with its colours; nothing in it can command the terminal."""
        line = super().get_line(line_index)
        words = line.plain
        line.plain = drawn(words)
        for start, end, kind in coloured(words):
            line.stylize(self.get_component_rich_style(f"json--{kind}", partial=True), start, end)
        style = self.get_component_rich_style("json--wrong", partial=True)
        for place in self._wrong:
            if place.line == line_index:
                start = min(place.column, max(len(words) - 1, 0))
                line.stylize(style, start, max(place.column + place.length, start + 1))
        return line
