"""The live table of a run's task runs: problems first, the cursor bound to the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual.message import Message

from flowdeck_app.views import tasks
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Source


class TaskTable(TableView[TaskRow]):
    """Rows of :class:`~flowdeck_app.sources.TaskSource`.

    Args:
        source: the rows.
        order: present sort order.
    """

    DEFAULT_CSS = """
    TaskTable { height: 1fr; }
    """

    def __init__(
        self, source: Source[TaskRow] | None = None, order: str = "problems", **names: Unpack[Names]
    ) -> None:
        super().__init__(
            tasks.TASK_COLUMNS,
            source,
            order=order,
            orders=tasks.TASK_ORDERS,
            empty=("No tasks yet", "The flow has not submitted a task"),
            **names,
        )

    class FoldWanted(Message):
        """What is below the row under the cursor is to be folded, or unfolded."""

        def __init__(self, fold: bool) -> None:
            super().__init__()
            self.fold = fold

    def action_move_left(self) -> None:
        """Fold; a table is never wider than the view."""
        self.post_message(self.FoldWanted(True))

    def action_move_right(self) -> None:
        """Unfold."""
        self.post_message(self.FoldWanted(False))

    def copy_of(self, row: TaskRow) -> tuple[str, str]:
        """Return the number of the task run."""
        return row.record.ref, f"the number of {row.record.name}"

    def is_live(self, row: TaskRow) -> bool:
        """A running task's time grows."""
        return tasks.is_live(row)
