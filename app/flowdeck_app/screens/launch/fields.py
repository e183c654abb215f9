"""One row of the launch form: name, what is to be filled in, what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox, Input, RadioButton, RadioSet, Select, Static

from flowdeck_app.drawing.cells import clean, cut
from flowdeck_app.events.living import Living
from flowdeck_app.screens.launch.field_input import FieldInput
from flowdeck_app.widgets.toggles import PlainCheckbox, PlainRadio, PlainSelect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import ComposeResult

    from flowdeck.launch.inspection import RunnerForm
    from flowdeck_app.screens.launch.specs import Field

#: What a runner is, in a few words.
_RUNNERS: Final = {
    "sequential": "one after the other",
    "concurrent": "threads and coroutines of one process",
    "process": "processes here, one task in each",
    "dask": "processes here, or a cluster",
    "ray": "processes here, or a cluster",
}


class FieldRow(Living, Vertical):
    """A field with its label above no more than one line of trouble.

    Args:
        spec: what it is.
        text: what it shows at first.
        group: ``p`` for a parameter, ``r`` for an option of the runner.
    """

    class Edited(Message):
        """The text is another."""

        def __init__(self, row: FieldRow, text: str) -> None:
            super().__init__()
            self.row, self.text = row, text

    def __init__(self, spec: Field, text: str, group: str) -> None:
        super().__init__()
        self.spec, self.group, self._text = spec, group, text
        #: What the form knows of it; keys that were typed since are on their way there.
        self.told = text

    def compose(self) -> ComposeResult:
        """Yield label, kind, editor, trouble."""
        spec = self.spec
        star = "*" if spec.required else ""
        with Horizontal(classes="row"):
            name = cut(clean(f"{spec.label or spec.name}{star}", 40), 17 - 2 * len(spec.path))
            yield Static(Content("  " * len(spec.path) + name), classes="label")
            yield Static(Content(cut(clean(spec.annotation or "any", 200), 15)), classes="kind")
            yield from self._editor()
        yield Static("", classes="problem", markup=False)

    def on_mount(self) -> None:
        """Say what it is for when the pointer rests on it."""
        if self.spec.doc:
            self.tooltip = Content(clean(self.spec.doc, 300))
        self.query_one(".problem").display = False
        if self.app.has_class("-ascii"):
            for arrow in self.query(".arrow").results(Static):
                arrow.update(Content("^" if arrow.has_class("up-arrow") else "v"))

    def _editor(self) -> ComposeResult:
        spec = self.spec
        if spec.widget == "group" and not _can_be_without(spec):
            yield Static("")
        elif spec.widget in {"bool", "group"}:
            yield PlainCheckbox("", value=self._text == "true", compact=True)
        elif spec.widget == "choice":
            options = [(Content(clean(choice, 60)), choice) for choice in spec.choices]
            value = self._text if self._text in spec.choices else Select.NULL
            yield PlainSelect(options, value=value, allow_blank=True, compact=True, prompt="choose")
        else:
            yield FieldInput(spec, self._text, _hint(spec))

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self._edit(message.value)

    @on(Checkbox.Changed)
    def _toggled(self, message: Checkbox.Changed) -> None:
        message.stop()
        self._edit("true" if message.value else "false")

    @on(Select.Changed)
    def _picked(self, message: Select.Changed) -> None:
        message.stop()
        self._edit("" if message.value is Select.NULL else str(message.value))

    def _edit(self, text: str) -> None:
        if text != self._text:
            self._text = text
            self.post_message(self.Edited(self, text))

    def set_text(self, text: str) -> None:
        """Show another value."""
        self._text = text
        if self.spec.widget == "group" and not _can_be_without(self.spec):
            return
        if self.spec.widget in {"bool", "group"}:
            self.query_one(Checkbox).value = text == "true"
        elif self.spec.widget == "choice":
            self.query_one(Select).value = text if text in self.spec.choices else Select.NULL
        else:
            self.query_one(Input).value = text

    def can_be(self, spec: Field) -> bool:
        """Say whether this row can show another field: its editor is the same."""
        mine = self.spec
        return (
            (mine.widget, mine.choices, mine.path, mine.name)
            == (spec.widget, spec.choices, spec.path, spec.name)
        ) and _can_be_without(mine) == _can_be_without(spec)  # fmt: skip

    def become(self, spec: Field, text: str) -> None:
        """Show that field, and its text if the form has changed it since this row told its own."""
        self.spec = spec
        if text != self.told:
            self.told = text
            self.set_text(text)

    def show_problem(self, problem: str | None) -> None:
        """Say what is wrong, or that nothing is."""
        note = self.query_one(".problem", Static)
        note.display = problem is not None
        if problem is not None:
            note.update(Content(clean(problem, 100)))


def _can_be_without(spec: Field) -> bool:
    """Say whether the parts of a field can be left out together: an item, or what may be null."""
    return spec.nullable or bool(spec.path and isinstance(spec.path[-1], int))


def _hint(spec: Field) -> str:
    if spec.adds:
        return "one more"
    about = cut(clean(spec.doc, 200, newline=" "), 60)
    if spec.widget in {"list", "json"}:
        return about if about.startswith("as JSON") else "as JSON"
    return about


class RunnerChoice(Living, RadioSet):
    """The runners as radio buttons: the arrows choose, beginning with the chosen one.

    Args:
        runners: those there are; the ones that are not installed cannot be chosen.
        chosen: the one to begin with.
        own: the one that is in the flow's code.
    """

    def __init__(self, runners: Sequence[RunnerForm], chosen: str, own: str | None) -> None:
        super().__init__(
            *(
                PlainRadio(
                    _runner_label(runner, own=runner.name == own),
                    value=runner.name == chosen,
                    name=runner.name,
                    disabled=not runner.installed,
                    compact=True,
                )
                for runner in runners
            ),
            id="runner",
            compact=True,
        )
        self._runners, self._own = tuple(runners), own

    def show_times(self, times: Mapping[str, str]) -> None:
        """Show beside each runner how long the flow would take there."""
        for button, runner in zip(self.query(PlainRadio), self._runners, strict=True):
            own = runner.name == self._own
            button.label = _runner_label(runner, own=own, time=times.get(runner.name, ""))

    def on_mount(self) -> None:
        """Begin where the choice is; the base class, whose turn is next, begins with the first."""
        self.call_next(self._begin)

    def _begin(self) -> None:
        if self.pressed_index >= 0:
            self._selected = self.pressed_index

    def action_next_button(self) -> None:
        """Choose the next one."""
        self._begin()
        super().action_next_button()
        self._choose()

    def action_previous_button(self) -> None:
        """Choose the one before."""
        self._begin()
        super().action_previous_button()
        self._choose()

    def _choose(self) -> None:
        """Press the selected button at once: news of its value would come too late for fast keys."""
        if not self.has_focus or self._selected is None:
            return
        buttons = list(self.query(PlainRadio))
        with self.prevent(RadioButton.Changed):
            for place, button in enumerate(buttons):
                button.value = place == self._selected
        self._pressed_button = buttons[self._selected]
        self.post_message(self.Changed(self, self._pressed_button))


def _runner_label(runner: RunnerForm, *, own: bool, time: str = "") -> Content:
    about = _RUNNERS.get(runner.name, "") if runner.installed else runner.hint
    faint = clean(f"{about}{', as in the code' if own else ''}", 100)
    shown = f"{time:>8}  " if time else ""
    return Content.assemble(f"{runner.name:<12}", (shown, "$fd-accent"), (faint, "$fd-muted"))
