"""A run with all that is below it as one list: its task runs, and their bars over time.

Keys are packed task ids, as in the lists of one run (:mod:`flowdeck_app.sources`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowdeck_app.drawing.stems import Fold
from flowdeck_app.index_source import IndexSource
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.views.timeline import Bar, bar_of
from flowdeck_store.ids import run_of, split, task_run_id
from flowdeck_store.query.language import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from flowdeck_app.access import StoreAccess
    from flowdeck_store.query.ordering import RowIndex
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import UpstreamRecord
    from flowdeck_store.read.tree.runs import Stem, TaskTree


class _Rows:
    """Which task runs a tree has, and where they lie.

    Args:
        run_id: number of the flow run at the top.
        query: filter text of task runs.
        order: in which each run's task runs come.
        folded: numbers of the runs whose task runs are not shown.
    """

    def __init__(self, run_id: int, query: str, order: str, folded: Collection[int]) -> None:
        self.run_id, self.query, self.order, self.folded = run_id, query, order, folded
        self._tree: TaskTree | None = None

    def look(self, reader: Reader) -> RowIndex:
        """Read which there are now."""
        self._tree = reader.task_tree(self.run_id, self.query, self.order, self.folded)
        return self._tree.index

    def stem(self, id_: int) -> Stem:
        """Return where a task run lies."""
        return () if self._tree is None else self._tree.stems.get(id_, ())

    def fold(self, id_: int) -> Fold:
        """Return whether there are others below a task run."""
        child = None if self._tree is None else self._tree.children.get(id_)
        if child is None:
            return Fold.NONE
        return Fold.CLOSED if child in self.folded else Fold.OPEN

    def foldable(self) -> frozenset[int]:
        """Return the numbers of the runs that can be folded."""
        return frozenset() if self._tree is None else frozenset(self._tree.children.values())

    def folded_at(self, id_: int, fold: bool | None) -> tuple[frozenset[int], int]:
        """Return which runs are folded after a key on a row, and on which row the cursor then is.

        What stands below the row is folded or unfolded; where there is nothing, what the row itself
        stands in is folded.

        Args:
            id_: of the row's task run.
            fold: or unfold; ``None``: whichever it is not.
        """
        now = frozenset(self.folded)
        if self._tree is None:
            return now, id_
        child = self._tree.children.get(id_)
        if child is not None and fold is None:
            return now ^ {child}, id_
        if child is not None and fold is not (child in now):
            return now ^ {child}, id_
        run = self._tree.runs.get(run_of(id_))
        if fold is False or run is None or run.parent_task is None:
            return now, id_
        return now | {run.id}, run.parent_task

    def matches(self, reader: Reader, text: str) -> Iterable[int]:
        """Return those that contain a text."""
        query = f"{self.query} {quote(text)}"
        return reader.task_tree(self.run_id, query, self.order, self.folded).index.ids


class TaskTreeSource(IndexSource[TaskRow]):
    """The task runs of a run and of all runs below it.

    Args:
        access: the app's lanes.
        run_id: number of the flow run at the top.
        query: filter text of :mod:`flowdeck_store.query.language`.
        order: in which each run's task runs come.
        folded: numbers of the runs whose task runs are not shown.
    """

    def __init__(
        self,
        access: StoreAccess,
        run_id: int,
        query: str = "",
        order: str = "problems",
        folded: Collection[int] = (),
    ) -> None:
        super().__init__(access)
        self._rows = _Rows(run_id, query, order, folded)

    def _look(self, reader: Reader) -> RowIndex:
        return self._rows.look(reader)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[TaskRow]:
        edges: dict[int, list[UpstreamRecord]] = {}
        for run_id, nos in _by_run(keys).items():
            found = reader.upstreams(run_id, nos)
            edges.update({task_run_id(run_id, no): of_task for no, of_task in found.items()})
        return [
            TaskRow(
                record,
                tuple(edges.get(record.id, ())),
                self._rows.stem(record.id),
                self._rows.fold(record.id),
            )
            for record in reader.tasks_by_ids(keys)
        ]

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return self._rows.matches(reader, text)

    def key(self, row: TaskRow) -> int:
        """Return the packed task id."""
        return row.record.id

    def foldable(self) -> frozenset[int]:
        """Return the numbers of the runs that can be folded."""
        return self._rows.foldable()

    def folded_at(self, key: int, fold: bool | None) -> tuple[frozenset[int], int]:
        """Return which runs are folded after a key on a row, and the row that the cursor is then on."""
        return self._rows.folded_at(key, fold)


class TimelineTreeSource(IndexSource[Bar]):
    """The task runs of a run and of all runs below it as bars over time.

    Args:
        access: the app's lanes.
        run_id: number of the flow run at the top.
        query: filter text.
        folded: numbers of the runs whose task runs are not shown.
    """

    def __init__(
        self, access: StoreAccess, run_id: int, query: str = "", folded: Collection[int] = ()
    ) -> None:
        super().__init__(access)
        self._rows = _Rows(run_id, query, "start", folded)

    def _look(self, reader: Reader) -> RowIndex:
        return self._rows.look(reader)

    def _read(self, reader: Reader, keys: Sequence[int]) -> list[Bar]:
        return bars_of(reader, keys, self._rows.stem, self._rows.fold)

    def _matches(self, reader: Reader, text: str) -> Iterable[int]:
        return self._rows.matches(reader, text)

    def key(self, row: Bar) -> int:
        """Return the packed task id."""
        return int(row.key)

    def foldable(self) -> frozenset[int]:
        """Return the numbers of the runs that can be folded."""
        return self._rows.foldable()

    def folded_at(self, key: int, fold: bool | None) -> tuple[frozenset[int], int]:
        """Return which runs are folded after a key on a row, and the row that the cursor is then on."""
        return self._rows.folded_at(key, fold)


def bars_of(
    reader: Reader,
    keys: Sequence[int],
    stem: Callable[[int], Stem],
    fold: Callable[[int], Fold],
) -> list[Bar]:
    """Return the bars of task runs of several runs, in this order."""
    found: dict[int, Bar] = {}
    for run_id, nos in _by_run(keys).items():
        for row in reader.timeline(run_id, nos):
            bar = bar_of(row, run_id)
            key = int(bar.key)
            found[key] = replace(bar, stem=stem(key), fold=fold(key))
    return [found[key] for key in keys if key in found]


def _by_run(keys: Sequence[int]) -> dict[int, list[int]]:
    """Return the numbers of task runs by their runs."""
    found: dict[int, list[int]] = {}
    for key in keys:
        run_id, no = split(key)
        found.setdefault(run_id, []).append(no)
    return found
