"""Widgets for the contents of artifacts. Anybody may have made those: nothing in them is markup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from markdown_it import MarkdownIt
from rich.text import Text
from textual import on
from textual.containers import Vertical
from textual.widgets import Input, Tree

from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.events.living import Living
from flowdeck_app.reports.artifacts import cell_text, rows_of
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.table import TableView

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.widgets.tree import TreeNode

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names

_MOST_COLUMNS: Final = 40
_MOST_NODES: Final = 3_000
_MEASURED: Final = 200

#: A row and its place in the table.
NumberedRow = tuple[int, list[Any]]


def markdown_parser() -> MarkdownIt:
    """Return a parser for which HTML is text."""
    return MarkdownIt("gfm-like", {"html": False})


class _Cells(TableView[NumberedRow]):
    """The rows."""


class RowTable(Living, Vertical):
    """A table with a filter; its columns sort.

    Args:
        value: columns and rows, as recorded.
    """

    DEFAULT_CSS = """
    RowTable { height: 1fr; }
    RowTable Input { border: none; height: 1; padding: 0 1; }
    RowTable _Cells { height: 1fr; }
    """

    def __init__(self, value: Any, **names: Unpack[Names]) -> None:
        super().__init__(**names)
        columns, rows = rows_of(value)
        self._all: list[NumberedRow] = list(enumerate(rows))
        self._columns = [
            _column(place, name, rows) for place, name in enumerate(columns[:_MOST_COLUMNS])
        ]

    def compose(self) -> ComposeResult:
        """Yield filter and rows."""
        orders = [column.order for column in self._columns]
        yield _Cells(
            self._columns, self._source(self._all), orders=orders, marks=False,
            empty=("Nothing here", "no row has what is looked for"), id="artifact-rows",
        )  # fmt: skip
        yield Input(placeholder="filter: what rows must contain", id="artifact-filter")

    def on_mount(self) -> None:
        """Rows first."""
        self.query_one("#artifact-rows").focus()

    @on(TableView.SortWanted)
    def _sort_wanted(self, message: TableView.SortWanted) -> None:
        message.stop()
        self._show(message.order, self.query_one(Input).value)

    @on(Input.Changed)
    def _filter_changed(self, message: Input.Changed) -> None:
        message.stop()
        self._show(self.query_one(_Cells).order, message.value)

    def _show(self, order: str, wanted: str) -> None:
        self.query_one(_Cells).show(self._source(chosen(self._all, order, wanted)))

    def _source(self, rows: Sequence[NumberedRow]) -> MemorySource[NumberedRow]:
        return MemorySource(
            rows, key=lambda row: row[0], text=lambda row: " ".join(map(cell_text, row[1]))
        )


def chosen(rows: Sequence[NumberedRow], order: str, wanted: str) -> list[NumberedRow]:
    """Return the rows that contain a text, sorted by a column.

    Args:
        rows: all of them.
        order: place of the column, ``-`` in front for the greatest first; ``""``: as they are.
        wanted: in any case of letters.
    """
    text = wanted.casefold()
    found = [row for row in rows if text in " ".join(map(cell_text, row[1])).casefold()]
    if order:
        place = int(order.removeprefix("-"))
        there = [row for row in found if row[1][place] is not None]
        missing = [row for row in found if row[1][place] is None]
        there.sort(key=lambda row: _rank(row[1][place]), reverse=order.startswith("-"))
        found = there + missing
    return found


def _rank(value: Any) -> tuple[int, float, str]:
    return (0, value, "") if isinstance(value, (int, float)) else (1, 0, cell_text(value))


def _column(place: int, name: str, rows: Sequence[Sequence[Any]]) -> Column[NumberedRow]:
    seen = [row[place] for row in rows[:_MEASURED]]
    numbers = any(cell is not None for cell in seen) and all(
        cell is None or isinstance(cell, (int, float)) for cell in seen
    )
    title = clean(name, 60, newline=" ")
    longest = max((len(cell_text(cell)) for cell in seen), default=0)
    least = max(6, min(30, max(longest, len(title) + 2)))
    return Column(
        str(place), title, _cell_of(place), least, grow=0 if numbers else 1,
        align="right" if numbers else "left", gap=2 if place else 0, order=str(place),
        drop=place,
    )  # fmt: skip


def _cell_of(place: int) -> Callable[[NumberedRow, Look], Cell]:
    def cell(row: NumberedRow, look: Look) -> Cell:
        text = cell_text(row[1][place])
        return clean(text, 500, newline=" ", ascii_only=look.symbols.ascii), ""

    return cell


class JsonTree(Tree[None]):
    """A JSON value as a tree, the first levels open."""

    DEFAULT_CSS = """
    JsonTree { height: 1fr; background: transparent; }
    """

    def __init__(self, value: Any, **names: Unpack[Names]) -> None:
        super().__init__(_label(None, value), **names)
        self._left = _MOST_NODES
        self._fill(self.root, value, 0)
        self.root.expand()

    def _fill(self, node: TreeNode[None], value: Any, depth: int) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value or ())
        for name, part in items if isinstance(value, (dict, list)) else ():
            self._left -= 1
            if self._left < 0:
                node.add_leaf(Text("… more"))
                return
            if isinstance(part, (dict, list)) and part and depth < 60:
                self._fill(node.add(_label(name, part), expand=depth < 1), part, depth + 1)
            else:
                node.add_leaf(_label(name, part))


def _label(name: object, value: Any) -> Text:
    if isinstance(value, dict):
        said = f"{{{len(value)}}}"
    elif isinstance(value, list):
        said = f"[{len(value)}]"
    else:
        said = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    head = "" if name is None else f"{clean(str(name), 200)}: "
    return Text(head, "bold") + Text(clean(said, 1_000, newline=" "), "not bold")
