"""A line view of columns: layout by width, heading, sorting by click or key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, Unpack

from textual.message import Message

from flowdeck_app.actions import bindings
from flowdeck_app.drawing.columns import (
    Column,
    Layout,
    heading_content,
    lay_out,
    needs_of,
    row_content,
)
from flowdeck_app.widgets.lines.view import LineView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType
    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names
    from flowdeck_app.widgets.lines.source import Key, Source

R = TypeVar("R")

#: Rows that are remembered as measured; beyond, they are measured again.
MEASURED: Final = 20_000


class TableView(LineView[R], Generic[R]):
    """Base of task table and run table.

    Args:
        columns: all columns there are; which are shown depends on the width.
        source: the rows.
        order: present sort order, for the arrow in the heading; the source sorts.
        orders: sort orders that ``s`` goes through.
        empty: title and hint of the empty state.
        marks: rows can be marked.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("view.sort", "view.reverse", "mark.toggle", "mark.all", hide=("view.sort",))
    ]

    class SortWanted(Message):
        """The user asks for a sort order; whoever owns the source changes it."""

        def __init__(self, table: TableView[Any], order: str) -> None:
            super().__init__()
            self.table, self.order = table, order

        @property
        def control(self) -> TableView[Any]:
            """The table that sent it."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[R]],
        source: Source[R] | None = None,
        *,
        order: str = "",
        orders: Sequence[str] = (),
        empty: tuple[str, str] = ("Nothing here", ""),
        marks: bool = True,
        **names: Unpack[Names],
    ) -> None:
        super().__init__(source, empty=empty, **names)
        self.columns, self.order, self.orders, self.marking = columns, order, orders, marks
        self._layout: Layout[R] = Layout((), -1)
        self._needs: dict[str, int] = {}
        self._measured: set[Key] = set()

    def layout_for(self, width: int) -> Layout[R]:
        """Return the columns shown at a width."""
        if self._layout.width != width:
            self._layout = lay_out(self.columns, width, self._needs)
        return self._layout

    def rows_came(self) -> None:
        """Make room for what the rows in view say; columns never get narrower while they scroll."""
        look, needs = self.look, dict(self._needs)
        for place in range(self.top, self.top + self.body_height):
            row = self.row_at(place)
            if row is None:
                continue
            columns = self.columns
            if (key := self.key_of(row)) in self._measured:  # still, it may say what none has said
                columns = [c for c in columns if c.optional and not needs.get(c.key)]
            self._measured.add(key)
            for name, cells in needs_of(columns, row, look).items():
                needs[name] = max(needs.get(name, 0), cells)
        if len(self._measured) > MEASURED:
            self._measured.clear()
        if needs != self._needs:
            self._needs = needs
            self._layout = Layout((), -1)
            self.drawing.clear()
        super().rows_came()

    def set_columns(self, columns: Sequence[Column[R]]) -> None:
        """Show other columns."""
        self.columns = columns
        self._layout = Layout((), -1)
        self.redraw()

    def lines(self, row: R, look: Look, width: int) -> Sequence[Content]:
        """Return the row by the columns shown."""
        return [row_content(self.layout_for(width), row, look)]

    def heading(self, look: Look, width: int) -> Content | None:
        """Return the columns' titles."""
        return heading_content(self.layout_for(width), look, self.order)

    def heading_clicked(self, x: int) -> None:
        """Sort by the clicked column; again turns it round."""
        column = self.layout_for(self.body_width).column_at(x)
        if column is not None and column.order:
            same = self.order.removeprefix("-") == column.order
            self.want_order(turned(self.order) if same else column.order)

    def want_order(self, order: str) -> None:
        """Ask for a sort order and show it in the heading."""
        self.order = order
        self.redraw()
        self.post_message(self.SortWanted(self, order))

    def action_view_sort(self) -> None:
        """Go on to the next sort order."""
        if self.orders:
            name = self.order.removeprefix("-")
            place = self.orders.index(name) + 1 if name in self.orders else 0
            self.want_order(self.orders[place % len(self.orders)])

    def action_view_reverse(self) -> None:
        """Turn the sort order round."""
        self.want_order(turned(self.order))

    def action_mark_all(self) -> None:
        """Mark all rows; if any are marked, unmark all."""
        if self.marks:
            self.set_marks(set())
            return
        keys = getattr(self.source, "keys", None)
        if callable(keys):
            self.set_marks(set(keys()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave out marking and sorting where there is none."""
        if action in {"mark_toggle", "mark_all"} and not self.marking:
            return False
        if action in {"view_sort", "view_reverse"} and not self.orders:
            return False
        return super().check_action(action, parameters)


def turned(order: str) -> str:
    """Return the opposite sort order."""
    return order[1:] if order.startswith("-") else f"-{order}" if order else ""
