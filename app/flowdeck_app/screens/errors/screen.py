"""Errors: what failed in any run, the same error as one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work

from flowdeck_app.access import FACTS
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.errors.group import ErrorGroupScreen
from flowdeck_app.screens.errors.tables import (
    NO_MATCH,
    NOTHING_FAILED,
    error_table,
    group_source,
)
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.views.errors import title
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_app.sources import ListSource
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.records import FlowRunRecord


class ErrorsScreen(FlowdeckScreen):
    """The groups of errors of all runs that a filter lets through."""

    CSS_PATH = "errors.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run.from_failed", "find.filter", "find.problems", "take.copy", "take.editor"),
        *bindings("go.next_failure"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.query_text = ""
        self.only_open = False
        self._repair: tuple[str, FlowRunRecord | None] = ("", None)

    def compose_content(self) -> ComposeResult:
        """Yield filter and table."""
        self.query_text = self.app.state.get("errors", "query", default="")
        yield QueryBar("runs", "flow:etl* since:7d tag:prod -tag:test", id="bar")
        yield error_table(self._source(), id="errors")

    def on_mount(self) -> None:
        """Put the cursor into the table."""
        if self.query_text:
            self.query_one(QueryBar).open(self.query_text)
        self.table.focus()

    def _source(self) -> ListSource[ErrorGroup]:
        return group_source(self.app.access, self.query_text, only_open=self.only_open)

    @property
    def table(self) -> TableView[ErrorGroup]:
        """The errors."""
        return self.query_one("#errors", TableView)

    @property
    def current(self) -> ErrorGroup | None:
        """The error under the cursor."""
        return self.table.current

    def trail(self) -> Sequence[str]:
        """Return the one level."""
        return ("Errors",)

    def facts(self) -> Sequence[Piece]:
        """Return how many errors are shown."""
        count = self.table.count if self.query("#errors") else 0
        shown = number(count, self.look.symbols.group)
        what = f"{'open ' if self.only_open else ''}error{'' if count == 1 else 's'}"
        style = "$fd-accent" if self.query_text or self.only_open else "$fd-muted"
        return (Piece(f"{shown} {what}", style),)

    def reload(self) -> None:
        """Read the rows again."""
        self.table.reload()
        self._load_repair()

    def ages_pass(self) -> None:
        """Say anew how long ago things were."""
        super().ages_pass()
        self.table.redraw()

    # -- filter ----------------------------------------------------------------------------

    def _renew(self) -> None:
        filtered = bool(self.query_text) or self.only_open
        self.table.empty = NO_MATCH if filtered else NOTHING_FAILED
        self.table.show(self._source())

    def show_query(self, text: str) -> None:
        """Filter by another text."""
        self.query_text = text
        self.app.state.remember("errors", "query", value=text)
        self._renew()

    def action_find_filter(self) -> None:
        """Open the filter."""
        self.query_one(QueryBar).open(self.query_text)

    def action_find_problems(self) -> None:
        """Show only errors that runs wait to be repaired of, or all again."""
        self.only_open = not self.only_open
        self._renew()

    @on(QueryBar.Changed)
    def _filtered(self, message: QueryBar.Changed) -> None:
        self.show_query(message.text)

    @on(QueryBar.Done)
    def _filter_done(self) -> None:
        self.table.focus()

    def step_back(self) -> bool:
        """Clear the filter."""
        bar = self.query_one(QueryBar)
        if not (bar.is_open or self.query_text or self.only_open):
            return False
        bar.close()
        self.only_open = False
        self.show_query("")
        self.table.focus()
        return True

    # -- the error under the cursor --------------------------------------------------------

    @on(LineView.Changed, "#errors")
    def _rows_changed(self) -> None:
        self.refresh_breadcrumb()
        self._load_repair()

    @on(LineView.Highlighted, "#errors")
    def _moved(self) -> None:
        self._load_repair()

    @work(exclusive=True, exit_on_error=False, group="repair")
    async def _load_repair(self) -> None:
        group = self.current
        if group is None or not group.is_open:
            self._repair = ("", None)
        else:
            runs = await self.app.access.ask(lambda reader: reader.error_repairs(group), FACTS)
            self._repair = (group.id, runs[0] if runs else None)
        self.refresh_bindings()

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The newest run that waits to be repaired of the error under the cursor."""
        group, run = self._repair
        return run if self.current is not None and self.current.id == group else None

    @property
    def can_open(self) -> bool | None:
        """Whether there is an error under the cursor."""
        return True if self.current is not None else None

    @property
    def can_edit(self) -> bool | None:
        """Whether the place is known."""
        return True if self.current is not None and self.current.place.file else None

    @on(Opened, "#errors")
    def _open(self, message: Opened) -> None:
        self.app.push_screen(ErrorGroupScreen(message.row))

    def action_go_next_failure(self) -> None:
        """Open the newest task run that failed with it."""
        if self.current is not None:
            self._open_newest(self.current)

    @work(exclusive=True, exit_on_error=False, group="newest")
    async def _open_newest(self, group: ErrorGroup) -> None:
        found = await self.app.access.ask(lambda reader: reader.failure(group.newest), FACTS)
        if found is None:
            self.app.say("Its run was deleted.")
        else:
            self.app.open_task(found.run_id, found.task_no)

    def action_take_editor(self) -> None:
        """Open the place in the editor."""
        if self.current is not None and self.current.place.file:
            self.app.edit(self.current.place.file, self.current.place.line)

    def copy_focused(self) -> None:
        """Copy the error's name and number."""
        if self.current is not None:
            self.app.copy(f"{title(self.current, self.look)} ({self.current.id})", "the error")
