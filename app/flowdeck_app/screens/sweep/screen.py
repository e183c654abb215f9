"""A sweep: its runs with the parameters that differ, their states and the numbers that they left."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from textual import on

from flowdeck_app.access import SLOW
from flowdeck_app.actions import bindings
from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.screens.parts.base import FlowdeckScreen
from flowdeck_app.sources import ListSource
from flowdeck_app.views.sweeps import SweepRow, SweepTable, read_sweep, sweep_columns
from flowdeck_app.widgets.lines.messages import Opened
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

_EMPTY: Final = ("No runs of this sweep", "they were deleted")


class SweepScreen(FlowdeckScreen):
    """The runs of a sweep.

    Args:
        sweep: its name.
    """

    CSS_PATH = "sweep.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run.again", "run.from_failed", "take.copy")]

    def __init__(self, sweep: str) -> None:
        super().__init__()
        self.sweep = SweepTable(sweep, (), (), ())
        self._order = "run"

    def compose_content(self) -> ComposeResult:
        """Yield the table."""
        yield TableView(
            sweep_columns(self.sweep), self._source(), order="run", orders=self.sweep.columns,
            empty=_EMPTY, marks=False, id="sweep",
        )  # fmt: skip

    def _source(self) -> ListSource[SweepRow]:
        return ListSource(
            self.app.access,
            self._read,
            key=lambda row: row.run.id,
            text=lambda row: f"{row.run.name} {row.run.state}",
            lane=SLOW,
        )

    def _read(self, reader: Reader) -> tuple[SweepRow, ...]:
        found = read_sweep(reader, self.sweep.name)
        order = self._order if self._order.removeprefix("-") in found.columns else "run"
        self.sweep = found
        return found.by(order)

    def on_mount(self) -> None:
        """Put the cursor into the table."""
        self.table.focus()

    @property
    def table(self) -> TableView[SweepRow]:
        """The runs."""
        return self.query_one("#sweep", TableView)

    def trail(self) -> Sequence[str]:
        """Return the way here."""
        return ("Runs", clean(f"sweep {self.sweep.name}", 100))

    def facts(self) -> Sequence[Piece]:
        """Return how many runs there are."""
        count = len(self.sweep.rows)
        shown = number(count, self.look.symbols.group)
        return (Piece(f"{shown} run{'' if count == 1 else 's'}", "$fd-muted"),)

    def reload(self) -> None:
        """Read the rows again."""
        self.table.reload()

    @on(LineView.Changed, "#sweep")
    def _rows_changed(self) -> None:
        table = self.table
        if tuple(table.orders) != self.sweep.columns:
            table.orders = self.sweep.columns
            table.set_columns(sweep_columns(self.sweep))
        self.refresh_breadcrumb()
        self.refresh_bindings()

    @on(LineView.Highlighted, "#sweep")
    def _moved(self) -> None:
        self.refresh_bindings()

    @on(TableView.SortWanted, "#sweep")
    def _sort(self, message: TableView.SortWanted) -> None:
        self._order = message.order
        self.table.show(self._source())

    # -- the run under the cursor ----------------------------------------------------------

    @property
    def failed_run(self) -> FlowRunRecord | None:
        """The run under the cursor."""
        row = self.table.current
        return None if row is None else row.run

    @property
    def can_open(self) -> bool | None:
        """Whether there is one."""
        return True if self.failed_run is not None else None

    can_rerun = can_open

    @on(Opened, "#sweep")
    def _open(self, message: Opened) -> None:
        if message.row is not None:
            self.app.open_run(message.row.run.id)

    def action_run_again(self) -> None:
        """Open the launch dialog with the values of the run."""
        run = self.failed_run
        if run is not None:
            self.app.open_launch(run.flow_key, rerun=run)

    def copy_focused(self) -> None:
        """Copy the run's name: it tells its parameters."""
        run = self.failed_run
        if run is not None:
            self.app.copy(run.name, "the name")
