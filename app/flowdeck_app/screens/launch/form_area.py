"""The scrolling part of the launch dialog: parameters, runner and its options, name and tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, RadioSet, Static

from flowdeck_app.drawing.cells import clean
from flowdeck_app.events.living import Living
from flowdeck_app.screens.launch.fields import FieldRow, RunnerChoice
from flowdeck_app.screens.launch.parameter_rows import ParameterRows
from flowdeck_app.screens.launch.runner_fields import runner_fields
from flowdeck_app.widgets.toggles import PlainInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck.launch.inspection import Inspection
    from flowdeck_app.screens.launch.form import Form


class FormArea(Living, VerticalScroll):
    """Shows a form and takes over what is typed."""

    class Edited(Message):
        """The form holds something else."""

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._form: Form | None = None
        self._found: Inspection | None = None

    async def show_error(self, why: Content) -> None:
        """Say why there is no form."""
        await self.remove_children()
        self.can_focus = True  # a traceback is scrolled
        await self.mount(Static(why, markup=False))
        self.focus()

    async def show(self, form: Form, found: Inspection) -> None:
        """Show the fields of a flow and put the keys on the first one.

        Args:
            form: what is filled in; what is typed goes there.
            found: what is known of the flow.
        """
        self._form, self._found = form, found
        await self.remove_children()
        self.can_focus = False  # a form's fields are stepped through
        rows = [ParameterRows(spec, form) for spec in form.fields]
        if not rows:
            await self.mount(Static(Content("The flow takes no parameters."), classes="hint"))
        await self.mount(*rows)
        chosen = form.runner or form.own_runner
        await self.mount(
            Static(Content("Runner"), classes="heading"),
            RunnerChoice(found.runners, chosen, found.runner),
            Vertical(id="options"),
            _hidden(Static("", id="expected", markup=False)),
            Static(Content("Options"), classes="heading"),
            _plain("name", "generated", form.name),
            _plain("tags", "none", form.tags),
        )
        # The keys go to the first field before anything says that the form is ready.
        first = self.query("FieldRow Input, FieldRow Select, FieldRow Checkbox")
        (first.first() if first else self.query_one("#runner")).focus()
        await self._show_options()

    async def follow(self) -> None:
        """Show what the form holds now."""
        for rows in self.query(ParameterRows):
            await rows.follow()

    def mark(self, problems: Mapping[str, str]) -> None:
        """Say at each field what is wrong with it."""
        for row in self.query(FieldRow):
            key = row.spec.key if row.group == "p" else f"runner.{row.spec.name}"
            row.show_problem(problems.get(key))

    async def _show_options(self) -> None:
        """Show the options of the chosen runner."""
        found, form = self._found, self._form
        if found is None or form is None:
            return
        chosen = form.runner or form.own_runner
        in_code = found.runner_options if chosen == found.runner else {}
        form.options = next(
            (runner_fields(r.name, r.options, in_code) for r in found.runners if r.name == chosen),
            [],
        )
        form.option_texts = {}
        area = self.query_one("#options")
        await area.remove_children()
        await area.mount(*[FieldRow(spec, spec.default, "r") for spec in form.options])

    def show_expected(self, times: Mapping[str, str] | None, text: str | None) -> None:
        """Say how long the run would take.

        Args:
            times: beside each runner; ``None``: as they are.
            text: with what is filled in; ``None``: nobody knows.
        """
        for choice in self.query(RunnerChoice):
            if times is not None:
                choice.show_times(times)
        for line in self.query("#expected").results(Static):
            line.display = text is not None
            line.update(Content(clean(text or "", 300)))

    @on(FieldRow.Edited)
    async def _edited(self, message: FieldRow.Edited) -> None:
        form, spec = self._form, message.row.spec
        if form is None:
            return
        message.row.told = message.text
        if message.row.group == "r":
            form.option_texts[spec.name] = message.text
        else:
            form.edit(spec, message.text)
            rows = next(one for one in self.query(ParameterRows) if one.spec.name == spec.name)
            await rows.follow()
        self.post_message(self.Edited())

    @on(Input.Changed, "#the-name")
    def _named(self, message: Input.Changed) -> None:
        if self._form is not None:
            self._form.name = message.value.strip()
            self.post_message(self.Edited())

    @on(Input.Changed, "#the-tags")
    def _tagged(self, message: Input.Changed) -> None:
        if self._form is not None:
            self._form.tags = message.value
            self.post_message(self.Edited())

    @on(RadioSet.Changed, "#runner")
    async def _runner_chosen(self, message: RadioSet.Changed) -> None:
        if self._form is None or self._found is None:
            return
        name = message.pressed.name or ""
        self._form.runner = "" if name == self._found.runner else name
        await self._show_options()
        self.post_message(self.Edited())


def _hidden(widget: Static) -> Static:
    widget.display = False
    return widget


def _plain(name: str, hint: str, text: str) -> Horizontal:
    label = Static(Content(name), classes="label")
    editor = PlainInput(text, placeholder=hint, compact=True, id=f"the-{name}")
    return Horizontal(label, Static("", classes="kind"), editor, classes="row")
