"""All values of the launch form as JSON, to be edited at once."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static, TextArea

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean
from flowdeck_app.screens.launch.json_area import JsonArea
from flowdeck_app.screens.launch.json_marks import TextPlace, broken_at, places
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
    JsonScreen .panel { width: 92%; max-width: 110; }
    JsonScreen JsonArea { height: 16; max-height: 60vh; }
    JsonScreen #wrong { height: 1; color: $fd-failed; }
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
            yield JsonArea(self._begun_with)
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

    def on_mount(self) -> None:
        """Mark what is wrong to begin with."""
        self._check()

    @on(TextArea.Changed)
    def _check(self) -> None:
        """Mark what is wrong while it is typed, and say the first of it."""
        area = self.query_one(JsonArea)
        broken = self._broken(area.text)
        wrong = [broken] if broken else self._misfits(area.text)
        area.mark([place for place, _ in wrong])
        said = Content("")
        if wrong:
            place, text = wrong[0]
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            said = Content(clean(f"{str(place).capitalize()}: {text}{more}", 200))
        self.query_one("#wrong", Static).update(said)

    def _broken(self, text: str) -> tuple[TextPlace, str] | None:
        """Return what keeps the values from being taken, and where."""
        broken = broken_at(text)
        if broken is not None:
            return broken[0], f"not JSON: {broken[1]}"
        values = json.loads(text)
        if not isinstance(values, dict):
            return TextPlace(0, 0, 1), "write one JSON object: a value for each parameter"
        known = {spec.name for spec in self._form.fields}
        unknown = next((name for name in values if name not in known), None)
        if unknown is None:
            return None
        where = places(text).get(unknown, TextPlace(0, 0, 1))
        return where, f"the flow has no parameter {unknown!r}"

    def _misfits(self, text: str) -> list[tuple[TextPlace, str]]:
        """Return values that do not fit, and where they stand: the form would say the same."""
        form = dataclasses.replace(self._form, texts=dict(self._form.texts))
        form.fill(json.loads(text))
        at = places(text)
        known = {spec.name for spec in form.fields}
        found = []
        for key, problem in form.problems().items():
            if key.split(".")[0] not in known:
                continue  # an option of the runner
            near = key
            while near not in at and "." in near:
                near = near.rpartition(".")[0]
            if near in at:
                found.append((at[near], f"{key} {problem}"))
        return sorted(found, key=lambda one: (one[0].line, one[0].column))

    def action_form_run(self) -> None:
        """Take the values, or go to what is wrong with them."""
        area = self.query_one(JsonArea)
        broken = self._broken(area.text)
        if broken is None:
            self.dismiss(json.loads(area.text))
        else:
            area.go_to(broken[0])


def _value(text: Any) -> Any:
    """Return what a text stands for: JSON if it is, else the text itself."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
