"""Fields of forms: signs that tell without colour, and texts that cannot command the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal

from rich.text import Text
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Checkbox, Input, OptionList, RadioButton, Select

from flowdeck_app.drawing.cells import width
from flowdeck_app.events.living import Living

if TYPE_CHECKING:
    from textual import events
    from textual.widgets._toggle_button import ToggleButton

#: What would move the terminal's cursor or turn text round is drawn as one visible cell.
_DRAWN: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys((0x7F, *range(0x80, 0xA0)), "�"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�"),
}


def drawn(text: str) -> str:
    """Return a text as it is drawn, cell by cell: what would command the terminal is one cell."""
    return text.translate(_DRAWN)


class PlainInput(Living, Input):
    """An input whose value may be anything: it is kept as it is, and drawn without commands."""

    cursor_blink = reactive(False, init=False)  # each blink would draw the whole dialog
    #: What stands between two lines that are pasted.
    BETWEEN: ClassVar[str] = " "

    @property
    def _value(self) -> Text:
        return Text(self.value.translate(_DRAWN), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        """Return where a character is drawn: as what it is drawn."""
        return width(self.value[:position].translate(_DRAWN))

    def _on_paste(self, event: events.Paste) -> None:
        """Take all lines of what is pasted; Textual would take the first and say nothing."""
        event.prevent_default()
        event.stop()
        lines = event.text.strip("\r\n").splitlines()
        if not lines:
            return
        if len(lines) > 1:
            joined = "joined" if self.BETWEEN == " " else "kept"
            self.app.notify(f"{len(lines)} lines pasted, {joined} in one field", markup=False)
        text = self.BETWEEN.join(lines)
        if self.selection.is_empty:
            self.insert_text_at_cursor(text)
        else:
            self.replace(text, *self.selection)


class LinesInput(PlainInput):
    """An input for a value that may have lines: a break in it is drawn as one cell."""

    BETWEEN = "\n"


def _sign(button: ToggleButton, on: str, off: str) -> Content:
    return Content(on if button.value else off).stylize(button.get_visual_style("toggle--button"))


class PlainCheckbox(Living, Checkbox):
    """``[x]`` and ``[ ]``."""

    @property
    def _button(self) -> Content:
        return _sign(self, "[x]", "[ ]")


class PlainRadio(Living, RadioButton):
    """``(•)`` and ``( )``."""

    @property
    def _button(self) -> Content:
        return _sign(self, "(*)" if self.app.has_class("-ascii") else "(•)", "( )")


class PlainSelect(Living, Select[str]):
    """A choice that hears of nothing once its form is closed."""


class PlainOptionList(Living, OptionList):
    """A list to choose from."""

    def _move_page(self, direction: Literal[-1, 1]) -> None:
        """Move by a page, once there are lines: Textual's page keys fail before."""
        if self.scrollable_content_region:
            super()._move_page(direction)
