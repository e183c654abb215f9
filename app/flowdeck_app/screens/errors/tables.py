"""The tables of the two screens, and where their rows come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Unpack

from flowdeck_app.access import SLOW
from flowdeck_app.sources import ListSource
from flowdeck_app.views.errors import GROUP_COLUMNS, OCCURRENCE_COLUMNS
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.access import StoreAccess
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Source
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.errors.reads import ErrorOccurrence
    from flowdeck_store.read.reader import Reader

NOTHING_FAILED: Final = ("Nothing failed", "what fails in any run is here as one row an error")
NO_MATCH: Final = ("Nothing matches", "esc clears the filter")


def error_table(source: Source[ErrorGroup], **names: Unpack[Names]) -> TableView[ErrorGroup]:
    """Return the table with one row an error."""
    return TableView(GROUP_COLUMNS, source, empty=NOTHING_FAILED, marks=False, **names)


def occurrence_table(
    source: Source[ErrorOccurrence], **names: Unpack[Names]
) -> TableView[ErrorOccurrence]:
    """Return the table with one row a task run that failed with an error."""
    gone = ("Its runs were deleted", "esc goes back")
    return TableView(OCCURRENCE_COLUMNS, source, empty=gone, marks=False, **names)


class _Groups:
    """Reads the groups, once for each version of the record: 0.2 s where 100,000 tasks failed."""

    def __init__(self, query: str, *, only_open: bool) -> None:
        self._query, self._only_open = query, only_open
        self._seen: tuple[int, int] | None = None
        self._groups: Sequence[ErrorGroup] = ()

    def __call__(self, reader: Reader) -> Sequence[ErrorGroup]:
        version = reader.generation, reader.data_version()
        if version != self._seen:
            found = reader.error_groups(self._query)
            self._groups = [group for group in found if group.is_open or not self._only_open]
            self._seen = version
        return self._groups


def group_source(
    access: StoreAccess, query: str, *, only_open: bool = False
) -> ListSource[ErrorGroup]:
    """Return the rows of the table of errors.

    Args:
        access: the app's lanes.
        query: filter of runs.
        only_open: leave out what no run waits to be repaired of.
    """
    return ListSource(
        access,
        _Groups(query, only_open=only_open),
        key=lambda group: group.id,
        text=lambda group: f"{group.title} {' '.join(group.flows)}",
        lane=SLOW,
    )


def occurrence_source(access: StoreAccess, group: ErrorGroup) -> ListSource[ErrorOccurrence]:
    """Return the rows of what failed with one error."""
    return ListSource(
        access,
        lambda reader: reader.error_occurrences(group),
        key=lambda row: row.failure,
        text=lambda row: f"{row.task or ''} {row.run_name} {row.message}",
        lane=SLOW,
    )
