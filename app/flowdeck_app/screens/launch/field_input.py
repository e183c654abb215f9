"""The input of a field: the arrow keys step dates and numbers, paths complete themselves."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, ClassVar

from flowdeck_app.actions import bindings
from flowdeck_app.screens.launch.stepping import PathSuggester, stepped
from flowdeck_app.widgets.toggles import PlainInput

if TYPE_CHECKING:
    from textual.binding import BindingType

    from flowdeck_app.host import HostApp
    from flowdeck_app.screens.launch.specs import Field


class FieldInput(PlainInput):
    """An input that knows what it is for.

    Args:
        spec: the field.
        text: what it shows at first.
        hint: what it shows while it is empty.
    """

    BETWEEN = "\n"  # a value may have lines
    app: HostApp  # narrower than Textual's, for the checker

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("form.more", "form.less", "form.far_more", "form.far_less")
    ]

    def __init__(self, spec: Field, text: str, hint: str) -> None:
        super().__init__(text, placeholder=hint, compact=True)
        self._spec = spec

    def on_mount(self) -> None:
        """Complete paths from the folder that the run will start in."""
        if self._spec.widget == "path":
            self.suggester = PathSuggester(self.app.folder)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the arrow keys to the form where there is nothing to step."""
        if action in {"form_more", "form_less", "form_far_more", "form_far_less"}:
            return self._spec.widget in {"int", "date", "datetime"}
        return super().check_action(action, parameters)

    def action_form_more(self) -> None:
        """One more, or the next day."""
        self._step(1, far=False)

    def action_form_less(self) -> None:
        """One less, or the day before."""
        self._step(-1, far=False)

    def action_form_far_more(self) -> None:
        """Ten more, or a month later."""
        self._step(1, far=True)

    def action_form_far_less(self) -> None:
        """Ten less, or a month earlier."""
        self._step(-1, far=True)

    def _step(self, by: int, *, far: bool) -> None:
        today = datetime.date.today()
        text = stepped(self._spec, self.value, by, far=far, today=today)
        if text is not None:
            self.value = text
            self.cursor_position = len(text)
