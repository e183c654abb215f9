"""The launch dialog: a form from the flow's signature, a runner, and the command that does it."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on, work
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from flowdeck_app.actions import bindings
from flowdeck_app.control.launch import forecast
from flowdeck_app.drawing.cells import at_least, clean, clean_lines
from flowdeck_app.drawing.times import duration
from flowdeck_app.screens.launch.form import Form
from flowdeck_app.screens.launch.form_area import FormArea
from flowdeck_app.screens.launch.note import error_content, note_lines
from flowdeck_app.screens.launch.specs import fields_of
from flowdeck_app.screens.launch.start import choices, folder_of, inspect, start, target_of
from flowdeck_app.screens.launch.what_if import on_each, plans_for, said, with_options
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.screens.parts.from_failed import plan_lines
from flowdeck_app.views.comparison import given_parameters
from flowdeck_app.widgets.toggles import PlainOptionList

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck.launch.inspection import Inspection
    from flowdeck.reuse.forecast import Preview
    from flowdeck_store.explain.what_if import RunPlan
    from flowdeck_store.read.records import FlowRunRecord


_KEYS: Final = "* required · ctrl+t as JSON · ctrl+l as last time · ctrl+y copy"


class LaunchScreen(FlowdeckModal):
    """Starts a flow, detached: closing the app never stops the run.

    Args:
        flow: target (``file.py:flow``) or flow key; ``None``: ask which.
        rerun: the run to repeat: its parameters, runner and tags are filled in.
        from_failed: run only what did not complete in that run, and say what that is.
    """

    CSS_PATH = "launch.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("form.run", "form.copy", "form.json", "form.last", "form.save")
    ]

    def __init__(
        self,
        flow: str | None = None,
        *,
        rerun: FlowRunRecord | None = None,
        from_failed: bool = False,
    ) -> None:
        super().__init__()
        self._flow, self._rerun, self._from_failed = flow, rerun, from_failed
        self._inspection: Inspection | None = None
        self._form: Form | None = None
        self._plan: Preview | None = None
        self._started = False
        self._plans: list[RunPlan] = []  # earlier runs, to tell from them how long it takes
        self._begun_with: str | None = None  # the command of the form as it was opened

    # -- composition -----------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Yield the panel; its content follows when the flow is known."""
        with Vertical(classes="panel", id="panel"):
            yield Static(Content("Reading the flow"), id="note", markup=False)
            if self._from_failed:
                yield Static(Content("Reading what can be reused"), id="plan", markup=False)
            yield FormArea(id="form")
            yield Static("", id="command", markup=False)
            with Horizontal(id="buttons"):
                yield Static("", id="problems", markup=False)
                yield Button(Content("Cancel"), id="cancel", compact=True)
                yield Button(Content("Run  ctrl+r"), id="run", compact=True, variant="primary")

    def on_mount(self) -> None:
        """Find out which flow it is and what it takes."""
        if self._from_failed:
            self._read_plan()
        target = target_of(self._flow, self._rerun, self.app.folder)
        if target is None:
            self._ask()
        else:
            self._read(target)

    @work(exclusive=True, exit_on_error=False, group="launch")
    async def _ask(self) -> None:
        """Let the user choose a flow."""
        self._title("Run which flow?")
        rows = await self.app.access.ask(lambda reader: choices(reader, self.app.folder))
        form = self.query_one("#form")
        if not rows:
            text = f"No flows found in {clean(str(self.app.folder), 80)}. Decorate one with @flow."
            self.query_one("#note", Static).update(Content(text))
            return
        self.query_one("#note").display = False
        options = [
            Option(Content(f"{at_least(clean(name, 40), 28)} {clean(target, 80)}"), id=str(place))
            for place, (name, target) in enumerate(rows)
        ]
        listed = PlainOptionList(*options, id="flows", compact=True)
        self._choices = rows
        await form.mount(listed)
        listed.focus()

    @on(OptionList.OptionSelected, "#flows")
    async def _chosen(self, message: OptionList.OptionSelected) -> None:
        await self.query_one("#flows").remove()
        note = self.query_one("#note", Static)
        note.display = True
        note.update(Content("Reading the flow"))
        self._read(self._choices[message.option_index][1])

    @work(exclusive=True, exit_on_error=False, group="plan")
    async def _read_plan(self) -> None:
        """Say what would be reused, and what would run again and why."""
        run = self._rerun
        assert run is not None
        code = None if self._inspection is None else self._inspection.code_of_tasks()
        self._plan = await self.app.access.ask(
            lambda reader: forecast(reader, run, code=code), "slow"
        )
        self._show_plan()
        self.call_after_refresh(self._fit)

    def _show_plan(self) -> None:
        """Show it for the parameters that stand in the form."""
        plan, form = self._plan, self._form
        if plan is not None:
            changed = () if form is None else tuple(form.changed())
            lines = plan_lines(dataclasses.replace(plan, changed=changed))
            self.query_one("#plan", Static).update(Content("\n".join(lines)))

    @work(exclusive=True, exit_on_error=False, group="launch")
    async def _read(self, target: str) -> None:
        """Ask a child process for the form of the flow; the file is never imported here."""
        self._title(f"Run {target}")
        found = await asyncio.to_thread(inspect, target, self.app.folder)
        self._inspection = found
        form = Form(target, fields_of(found.parameters) if found.ok else [])
        form.own_runner = found.runner or "concurrent"
        if self._rerun is not None:
            form.fill(given_parameters(self._rerun))
            form.runner = self._rerun.runner or ""
            form.tags = " ".join(self._rerun.ran_with)
            form.rerun_of = self._rerun.uid
            form.recorded = dict(form.texts)
            form.failed_of = self._rerun.id if self._from_failed else None
        self._form = form
        await self._show()
        if self._from_failed and self._rerun is not None and found.ok:
            self._read_plan()  # again: now it is known what was changed in the code
        self._begun_with = form.command_line()

    def on_resize(self) -> None:
        """Keep command and buttons on the screen."""
        self._fit()

    def _fit(self) -> None:
        """Give the form the rows that note, command and buttons leave."""
        if not self.is_mounted:
            return
        note, command = self.query_one("#note"), self.query_one("#command")
        taken = command.outer_size.height + (note.outer_size.height if note.display else 0)
        taken += sum(plan.outer_size.height for plan in self.query("#plan"))
        rows = self.size.height * 96 // 100 - taken - 3  # 3: border and buttons
        self.query_one("#form").styles.max_height = max(rows, 4)

    def _title(self, text: str) -> None:
        panel = self.query_one("#panel")
        panel.border_title = Content(clean(text, 80))
        dot = self.look.symbols.dot
        panel.border_subtitle = Content(_KEYS.replace("·", dot))

    async def _show(self) -> None:
        """Draw the form."""
        found, form = self._inspection, self._form
        assert found is not None
        assert form is not None
        note, area = self.query_one("#note", Static), self.query_one(FormArea)
        if not found.ok:
            note.display = False
            await area.show_error(error_content(found, self.app.folder))
            await self._changed()
            return
        name = found.name or form.target
        old = self._rerun.name if self._rerun is not None and self._from_failed else None
        self._title(
            f"Run {name}" if old is None else f"Run {name} again, from what failed in {old}"
        )
        said = note_lines(found, self.app.folder)
        note.update(Content("\n".join(said)))
        note.display = bool(said)
        await area.show(form, found)
        await self._changed()
        self._read_earlier()

    @work(exclusive=True, exit_on_error=False, group="what-if")
    async def _read_earlier(self) -> None:
        """Say how long the run would take on each runner, from earlier runs."""
        found = self._inspection
        assert found is not None
        self._plans = await self.app.access.ask(lambda reader: plans_for(reader, found), "slow")
        names = [runner.name for runner in found.runners]
        each = await asyncio.to_thread(on_each, self._plans, names)
        times = {name: duration(one.seconds) for name, one in each.items()}
        self.query_one(FormArea).show_expected(times, None)
        self._expect()

    @work(exclusive=True, exit_on_error=False, group="expected")
    async def _expect(self) -> None:
        """Say how long it would take with what is filled in."""
        form = self._form
        if form is None or not self._plans:
            return
        runner = form.runner or form.own_runner
        args = (self._plans, runner, tuple(form.options), dict(form.option_texts))
        one = await asyncio.to_thread(with_options, *args)
        text = None if one is None else said(one, self.look)
        self.query_one(FormArea).show_expected(None, text)

    # -- values ----------------------------------------------------------------------------

    @on(FormArea.Edited)
    async def _edited(self) -> None:
        await self._changed()
        self._expect()

    async def _changed(self) -> None:
        """Show problems and the command as they are now."""
        form = self._form
        if form is None:
            return
        self._show_plan()
        problems = form.problems()
        self.query_one(FormArea).mark(problems)
        line = f"$ {form.command_line()}"
        self.query_one("#command", Static).update(Content("\n".join(clean_lines(line, 2000, 4))))
        note = self.query_one("#problems", Static)
        if problems:
            first = next(iter(problems))
            count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
            note.update(Content(f"{count}: {clean(first, 30)} {clean(problems[first], 60)}"))
        else:
            note.update(Content(""))
        self.query_one("#run", Button).disabled = bool(problems) or self._started
        self.call_after_refresh(self._fit)

    # -- acts ------------------------------------------------------------------------------

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#run")
    def _run_pressed(self) -> None:
        self.action_form_run()

    def action_form_cancel(self) -> None:
        """Close; a form that was filled in asks first."""
        form, before = self._form, self._begun_with
        if self._started or form is None or before is None or form.command_line() == before:
            self.dismiss(None)
            return
        self.app.confirm(
            "Close without running?", lambda: self.dismiss(None), yes="Close",
            detail="What you filled in is lost; ctrl+s keeps it as the flow's preset.",
        )  # fmt: skip

    def action_form_run(self) -> None:
        """Start the run and open it."""
        form = self._form
        if form is None or self._started:
            return
        problems = form.problems()
        if problems:
            self.app.say("Correct what is marked first.", "warning")
            return
        self._started = True
        self._start(form)

    @work(exclusive=True, exit_on_error=False, group="launch")
    async def _start(self, form: Form) -> None:
        try:
            launched = await asyncio.to_thread(start, form, folder_of(self._rerun, self.app.folder))
        except Exception as error:
            self._started = False
            self.app.show_error("The run could not be started", error)
            return
        self.app.state.remember_parameters(form.target, form.memorable())
        self.app.expect_change()
        app = self.app
        self.dismiss(launched.run_id)
        app.say(f"Started {launched.name}")
        app.open_run(launched.run_id)

    def action_form_copy(self) -> None:
        """Copy the command line."""
        if self._form is not None:
            self.app.copy(self._form.command_line(), "the command")

    async def action_form_last(self) -> None:
        """Take the values of the last launch."""
        await self._take(self.app.state.last_parameters(self._form.target) if self._form else {})

    def action_form_save(self) -> None:
        """Keep the values as the flow's preset."""
        if self._form is not None:
            self.app.state.remember("presets", self._form.target, value=self._form.memorable())
            self.app.say(
                "Kept as the preset of this flow, without secrets; ctrl+t takes it or other values"
            )

    def action_form_json(self) -> None:
        """Edit all values as JSON."""
        if self._form is None or not self._form.fields:
            return
        from flowdeck_app.screens.launch.json_editor import JsonScreen

        preset = self.app.state.get("presets", self._form.target, default={})
        self.app.push_screen(JsonScreen(self._form, preset), self._json_done)

    async def _json_done(self, values: dict[str, Any] | None) -> None:
        if values is not None:
            await self._take(values)

    async def _take(self, values: dict[str, Any]) -> None:
        form = self._form
        if form is None:
            return
        if not values:
            self.app.say("This flow was not launched from here before.")
            return
        form.fill(values)
        await self.query_one(FormArea).follow()
        await self._changed()
