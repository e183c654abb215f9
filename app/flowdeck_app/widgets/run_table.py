"""Tables of flow runs: the history, and Home's active and recent runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from flowdeck_app.views import runs
from flowdeck_app.views.rows import RunRow
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
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

    def is_live(self, row: RunRow) -> bool:
        """A running run's time grows."""
        return runs.is_live(row)
