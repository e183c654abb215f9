"""Fields of forms: signs that tell without colour, and texts that cannot command the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.content import Content
from textual.widgets import Checkbox, Input, RadioButton

if TYPE_CHECKING:
    from textual.widgets._toggle_button import ToggleButton

#: What would move the terminal's cursor or turn text round is drawn as one visible cell.
_DRAWN: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    **dict.fromkeys((0x7F, *range(0x80, 0xA0)), "�"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�"),
}


class PlainInput(Input):
    """An input whose value may be anything: it is kept as it is, and drawn without commands."""

    @property
    def _value(self) -> Text:
        return Text(self.value.translate(_DRAWN), no_wrap=True, overflow="ignore", end="")


def _sign(button: ToggleButton, on: str, off: str) -> Content:
    return Content(on if button.value else off).stylize(button.get_visual_style("toggle--button"))


class PlainCheckbox(Checkbox):
    """``[x]`` and ``[ ]``."""

    @property
    def _button(self) -> Content:
        return _sign(self, "[x]", "[ ]")


class PlainRadio(RadioButton):
    """``(•)`` and ``( )``."""

    @property
    def _button(self) -> Content:
        return _sign(self, "(*)" if self.app.has_class("-ascii") else "(•)", "( )")
