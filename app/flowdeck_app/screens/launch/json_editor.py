"""All values of the launch form as JSON, to be edited at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.screens.parts.base import FlowdeckModal

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.screens.launch.form import Form


class JsonScreen(FlowdeckModal):
    """Dismisses with the values, or ``None``.

    Args:
        form: the launch form.
        preset: the flow's kept values; ctrl+l puts them in.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("form.run", "form.last")]
    DEFAULT_CSS = """
    JsonScreen TextArea { height: 16; max-height: 60vh; background: $panel; border: none; }
    JsonScreen #wrong { height: auto; color: $fd-failed; }
    """

    def __init__(self, form: Form, preset: dict[str, Any]) -> None:
        super().__init__()
        self._form, self._preset = form, preset
        self._begun_with = self._text({s.name: form.text(s) for s in form.fields})

    def compose(self) -> ComposeResult:
        """Yield the text and a line for what is wrong."""
        panel = Vertical(classes="panel")
        panel.border_title = Content("Parameters as JSON")
        kept = " · ctrl+l preset" if self._preset else ""
        panel.border_subtitle = Content(f"ctrl+r take{kept} · esc cancel")
        with panel:
            text = TextArea(self._begun_with)
            text.cursor_blink = False  # as in the fields of the form
            yield text
            yield Static("", id="wrong", markup=False)

    def _text(self, texts: dict[str, Any]) -> str:
        values = {}
        for spec in self._form.fields:
            text = texts.get(spec.name, spec.default)
            values[spec.name] = _value(text) if spec.widget not in {"text", "path"} else text
        return json.dumps(values, indent=2, ensure_ascii=False)

    def action_form_last(self) -> None:
        """Put the preset in."""
        if self._preset:
            self.query_one(TextArea).text = self._text(self._preset)

    def action_form_cancel(self) -> None:
        """Close; a text that was changed asks first."""
        if self.query_one(TextArea).text == self._begun_with:
            self.dismiss(None)
        else:
            self.app.confirm("Leave the values as they were?", lambda: self.dismiss(None),
                             yes="Leave them")  # fmt: skip

    def action_form_run(self) -> None:
        """Take the values."""
        try:
            values = json.loads(self.query_one(TextArea).text)
        except ValueError as error:
            self._wrong(f"Not JSON: {error}")
            return
        if not isinstance(values, dict):
            self._wrong("Write one JSON object: a value for each parameter.")
            return
        unknown = [name for name in values if name not in {s.name for s in self._form.fields}]
        if unknown:
            self._wrong(f"The flow has no parameter {unknown[0]!r}.")
            return
        self.dismiss(values)

    def _wrong(self, text: str) -> None:
        self.query_one("#wrong", Static).update(Content(clean(text, 200)))


def _value(text: Any) -> Any:
    """Return what a text stands for: JSON if it is, else the text itself."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
