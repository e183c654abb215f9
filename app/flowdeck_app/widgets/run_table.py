"""Tables of flow runs: the history, and Home's active and recent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from textual.message import Message

from flowdeck_app.views import runs
from flowdeck_app.views.rows import RunRow
from flowdeck_app.views.run_groups import heading_line
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Source

#: Empty states: nothing is recorded; the filter lets nothing through.
NO_RUNS: Final = ("No runs yet", "r starts a flow")
NO_MATCH: Final = ("Nothing matches", "esc clears the filter")


class RunTable(TableView[RunRow]):
    """Rows of :class:`~flowdeck_app.sources.RunSource`.

    Args:
        source: the rows.
        order: present sort order.
        recent: Home's short form: progress instead of figures, no sorting, no marks.
    """

    AGES = True
    DEFAULT_CSS = """
    RunTable { height: 1fr; }
    """

    def __init__(
        self,
        source: Source[RunRow] | None = None,
        order: str = "newest",
        *,
        recent: bool = False,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(
            runs.RECENT_COLUMNS if recent else runs.RUN_COLUMNS,
            source,
            order="" if recent else order,
            orders=() if recent else runs.RUN_ORDERS,
            empty=NO_RUNS if recent else NO_MATCH,
            marks=not recent,
            **names,
        )

    class FoldWanted(Message):
        """The group that the cursor is on or in is to be folded, or unfolded (``None``: whichever it
        is not)."""

        def __init__(self, fold: bool | None) -> None:
            super().__init__()
            self.fold = fold

    @property
    def n_runs(self) -> int:
        """How many runs there are, without the headings of groups."""
        return int(getattr(self.drawn_source, "runs", self.count))

    def lines(self, row: RunRow, look: Look, width: int) -> Sequence[Content]:
        """Return a heading, or the run by the columns shown."""
        if row.heading is not None:
            return [heading_line(row.heading, look, width)]
        return super().lines(row, look, width)

    def action_move_left(self) -> None:
        """Fold; a table is never wider than the view."""
        self.post_message(self.FoldWanted(True))

    def action_move_right(self) -> None:
        """Unfold."""
        self.post_message(self.FoldWanted(False))

    def action_mark_toggle(self) -> None:
        """Mark or unmark the run under the cursor; headings have no mark."""
        if self.current is not None and self.current.heading is not None:
            self.move_to(self.cursor + 1)
        else:
            super().action_mark_toggle()

    def action_go_open(self) -> None:
        """Open the run under the cursor; fold or unfold a heading."""
        if self.current is not None and self.current.heading is not None:
            self.post_message(self.FoldWanted(None))
        else:
            super().action_go_open()

    def is_live(self, row: RunRow) -> bool:
        """A running run's time grows."""
        return row.heading is None and runs.is_live(row)
