"""One error: how often and since when, with which messages, and every task run that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on, work

from flowdeck_app.access import FACTS, SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.cells import clean, cut
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.errors.tables import occurrence_source, occurrence_table
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.screens.parts.strips import Line
from flowdeck_app.views.errors import figures, title
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.table import TableView
from flowdeck_store.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.errors.reads import ErrorMessage, ErrorOccurrence
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: Messages that are named, and cells of each.
_MESSAGES: Final = 3
_CELLS: Final = 60


class ErrorGroupScreen(FlowdeckScreen):
    """Everything about one group of errors."""

    CSS_PATH = "errors.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("run.from_failed", "take.copy", "take.editor", "go.next_failure")
    ]

    def __init__(self, group: ErrorGroup) -> None:
        super().__init__()
        self.group = group
        self._repair: FlowRunRecord | None = None
        self._messages: tuple[Sequence[ErrorMessage], int] = ((), 0)

    def compose_content(self) -> ComposeResult:
        """Yield what is known of the error, and what failed with it."""
        yield Line(id="title")
        yield Line(id="figures")
        yield Line(id="messages")
        yield occurrence_table(occurrence_source(self.app.access, self.group), id="occurrences")

    def on_mount(self) -> None:
        """Put the cursor into the table."""
        self.table.focus()
        self._say()
        self._load()

    @property
    def table(self) -> TableView[ErrorOccurrence]:
        """What failed with it."""
        return self.query_one("#occurrences", TableView)

    def trail(self) -> Sequence[str]:
        """Return the way here."""
        return ("Errors", title(self.group, self.look))

    def reload(self) -> None:
        """Read everything again."""
        self._load()

    def ages_pass(self) -> None:
        """Say anew how long ago things were."""
        super().ages_pass()
        self._say()
        self.table.redraw()

    @work(exclusive=True, exit_on_error=False, group="group")
    async def _load(self) -> None:
        known = self.group

        def read(
            reader: Reader,
        ) -> tuple[ErrorGroup, FlowRunRecord | None, Sequence[ErrorMessage], int]:
            try:
                group = reader.error_group(known.id)
            except NotFound:  # all of its runs were deleted
                group = known
            details = reader.error_details(group)
            runs = reader.error_repairs(group)
            return group, runs[0] if runs else None, details.messages, details.n_messages

        group, self._repair, messages, total = await self.app.access.ask(read, SLOW)
        self._messages = (messages, total)
        if group != self.group:
            self.group = group
            self.table.show(occurrence_source(self.app.access, group))
        self._say()
        self.refresh_bindings()

    def _say(self) -> None:
        group, look = self.group, self.look
        place = group.place
        where = f"{place.file}:{place.line} in {place.function or '?'}" if place.file else ""
        self.query_one("#title", Line).say(
            [(title(group, look), "bold $fd-failed" if group.is_open else "bold $fd-strong")],
            [(clean(where, 500, newline=" ", ascii_only=look.symbols.ascii), "$fd-muted")],
        )
        self.query_one("#figures", Line).say(
            [(figures(group, look), "")], [(group.id, "$fd-faint")]
        )
        self.query_one("#messages", Line).say(self._message_pieces())

    def _message_pieces(self) -> list[Piece]:
        messages, total = self._messages
        look = self.look
        times = "x" if look.symbols.ascii else "×"
        pieces: list[Piece] = []
        for message in messages[:_MESSAGES]:
            text = clean(message.text, 200, newline=" ", ascii_only=look.symbols.ascii)
            shown = cut(text, _CELLS, ellipsis=look.ellipsis)
            pieces.append(Piece(f"{message.count}{times} ", "$fd-muted"))
            pieces.append(Piece(f"{shown}   "))
        if total > _MESSAGES:
            pieces.append(Piece(f"and {total - _MESSAGES} other messages", "$fd-muted"))
        return pieces

    # -- acts ------------------------------------------------------------------------------

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The newest run that waits to be repaired."""
        return self._repair

    @property
    def can_open(self) -> bool | None:
        """Whether there is a task run under the cursor."""
        return True if self.table.current is not None else None

    @property
    def can_edit(self) -> bool | None:
        """Whether the place is known."""
        return True if self.group.place.file else None

    @on(Opened, "#occurrences")
    def _open(self, message: Opened) -> None:
        self.app.open_task(message.row.run_id, message.row.task_no)

    def action_go_next_failure(self) -> None:
        """Open the newest task run that failed with it."""
        self._open_newest()

    @work(exclusive=True, exit_on_error=False, group="newest")
    async def _open_newest(self) -> None:
        newest = self.group.newest
        found = await self.app.access.ask(lambda reader: reader.failure(newest), FACTS)
        if found is not None:
            self.app.open_task(found.run_id, found.task_no)

    def action_take_editor(self) -> None:
        """Open the place in the editor."""
        if self.group.place.file:
            self.app.edit(self.group.place.file, self.group.place.line)

    def copy_focused(self) -> None:
        """Copy the error's name and number."""
        self.app.copy(f"{title(self.group, self.look)} ({self.group.id})", "the error")
