"""Check boxes and radio buttons whose sign, not only its colour, says whether they are on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Checkbox, RadioButton

if TYPE_CHECKING:
    from textual.widgets._toggle_button import ToggleButton


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
