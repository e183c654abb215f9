"""The history in groups, for a table of runs: headings are rows among the runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowdeck_app.sources import RunSource
from flowdeck_app.views.run_groups import RunHeading, grouped
from flowdeck_store.query.ordering import RowIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flowdeck_app.access import StoreAccess
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.rows import RunRow
    from flowdeck_store.read.reader import Reader


class GroupedRunSource(RunSource):
    """Flow runs below headings. Keys are run numbers, those of headings are less than 0.

    Args:
        access: the app's lanes.
        query: filter text.
        order: sort order of the runs in each group.
        by: ``flow`` or ``day``.
        folded: keys of the headings whose runs are not shown.
        look: says what day it is.
    """

    def __init__(
        self,
        access: StoreAccess,
        query: str,
        order: str,
        by: str,
        folded: Collection[int],
        look: Callable[[], Look],
    ) -> None:
        super().__init__(access, query, order)
        self._by, self._folded, self._look_now = by, folded, look
        self.headings: dict[int, RunHeading] = {}
        self.runs = 0

    def _look(self, reader: Reader) -> RowIndex:
        places = reader.run_places(self.query, self.order, roots=self.roots)
        look = self._look_now()
        ids, self.headings = grouped(places, self._by, self._folded, look.now_us, look.zone)
        self.runs = len(places)
        return RowIndex(ids, False)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[RunRow]:
        headings = self.headings
        wanted = [headings[key].first if key in headings else key for key in keys]
        rows = {row.record.id: row for row in super()._read(reader, sorted(set(wanted)))}
        return [
            replace(rows[run_id], heading=headings.get(key))
            for key, run_id in zip(keys, wanted, strict=True)
            if run_id in rows
        ]

    def key(self, row: RunRow) -> int:
        """Return the run's number, or the key of the heading."""
        return row.record.id if row.heading is None else row.heading.key

    def keys(self) -> Sequence[int]:
        """Return the numbers of the runs that are shown."""
        every = super().keys()
        return [key for key in every if key > 0]
