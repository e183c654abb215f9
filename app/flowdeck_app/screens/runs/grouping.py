"""The history in groups: which, and what of it is folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck_app.screens.runs.group_source import GroupedRunSource
from flowdeck_app.sources import RunSource
from flowdeck_app.views.run_groups import GROUPINGS

if TYPE_CHECKING:
    from flowdeck_app.widgets.run_table import RunTable


class GroupsRuns:
    """The keys for groups; mixed into the screen of the history.

    Attributes:
        folded: keys of the headings whose runs are not shown.
    """

    folded: frozenset[int] = frozenset()

    @property
    def _grouped_screen(self) -> Any:
        return self

    @property
    def grouping(self) -> str:
        """What the runs are grouped by; ``""``: nothing."""
        by = self._grouped_screen.app.state.get("runs", "grouping", default="")
        return by if by in GROUPINGS else ""

    def make_source(self, query: str, order: str) -> RunSource:
        """Return the rows of a filter and an order, in the present groups."""
        app = self._grouped_screen.app
        if not self.grouping:
            return RunSource(app.access, query, order)
        return GroupedRunSource(
            app.access, query, order, self.grouping, self.folded, lambda: app.look
        )

    @property
    def can_fold(self) -> bool | None:
        """Whether there are groups."""
        return bool(self.grouping)

    def action_view_group(self) -> None:
        """Group by flow, by day, or not."""
        by = GROUPINGS[(GROUPINGS.index(self.grouping) + 1) % len(GROUPINGS)]
        self.folded = frozenset()
        self._grouped_screen.app.state.remember("runs", "grouping", value=by)
        self._grouped_screen.app.say(f"Runs by {by}" if by else "Runs without groups")
        self._grouped_screen.renew_rows()

    def action_view_fold(self) -> None:
        """Fold the group under the cursor, or unfold it."""
        self._fold(None)

    def action_view_all(self) -> None:
        """Unfold all groups; where none is folded, fold all."""
        source = self._grouped_screen.table.drawn_source
        if isinstance(source, GroupedRunSource):
            self._show(frozenset() if self.folded else frozenset(source.headings), None)

    def on_run_table_fold_wanted(self, message: RunTable.FoldWanted) -> None:
        """Fold or unfold what the cursor is on or in."""
        message.stop()
        self._fold(message.fold)

    def _fold(self, fold: bool | None) -> None:
        table = self._grouped_screen.table
        source, row = table.drawn_source, table.current
        if not isinstance(source, GroupedRunSource) or row is None:
            return
        place = table.cursor
        heading = row.heading
        while heading is None and place > 0 and fold is not False:  # a run folds what it is in
            place -= 1
            above = table.row_at(place)
            if above is None:
                break
            heading = above.heading
        if heading is not None and fold is not heading.folded:
            self._show(self.folded ^ {heading.key}, heading.key)

    def _show(self, folded: frozenset[int], key: int | None) -> None:
        self.folded = folded
        table = self._grouped_screen.table
        table.show(self._grouped_screen.row_source(), key=key)
