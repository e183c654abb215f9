"""Asks which part of a run to write in which format, and writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from flowdeck_app.drawing.cells import clean
from flowdeck_app.screens.parts.base import FlowdeckModal
from flowdeck_app.screens.run.export_text import Choice, choices, write
from flowdeck_app.widgets.toggles import PlainOptionList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from flowdeck_store.read.dump import Part
    from flowdeck_store.read.records import FlowRunRecord


class ExportScreen(FlowdeckModal):
    """Writes into the folder that the app was started in.

    Args:
        run: the run.
        part: what the present view shows.
        query: its filter.
    """

    CSS_PATH: ClassVar = "run_export.tcss"

    def __init__(self, run: FlowRunRecord, part: Part, query: str = "") -> None:
        super().__init__()
        self.record = run
        self.choices: list[Choice] = choices(part, query)

    def compose(self) -> ComposeResult:
        """Yield the panel."""
        panel = Vertical(classes="panel")
        panel.border_title = Content(f"Export {clean(self.record.name, 60)}")
        panel.border_subtitle = Content("enter write · esc close")
        with panel:
            yield PlainOptionList(
                *(Option(Content(choice.label)) for choice in self.choices), id="export-choices"
            )
            yield Static(Content(f"to {clean(str(self.app.folder), 300)}"), id="export-folder")

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        self._write(self.choices[message.option_index])

    @work(group="export", exit_on_error=False)
    async def _write(self, choice: Choice) -> None:
        app, run, folder = self.app, self.record, self.app.folder
        self.dismiss(None)
        try:
            path = await app.access.ask(lambda reader: write(reader, run, choice, folder), "slow")
        except Exception as error:  # a full disk or a busy store is shown, never fatal
            app.show_error("The file could not be written", error)
        else:
            app.say(f"Written: {path}")
