"""A list of facts that can be walked over, opened, copied and selected from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from flowdeck_app.views.facts import PanelRow
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.lines.view import LineView

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.host import HostApp
    from flowdeck_app.widgets.guard import Names


class PanelView(LineView[PanelRow]):
    """Rows of :mod:`flowdeck_app.views.facts`; ``enter`` follows a row or shows it whole.

    Args:
        empty: what is shown without rows.
    """

    app: HostApp  # narrower than Textual's, for the checker

    DEFAULT_CSS = """
    PanelView { height: 1fr; }
    """

    def __init__(
        self, *, empty: tuple[str, str] = ("Nothing here", ""), **names: Unpack[Names]
    ) -> None:
        super().__init__(empty=empty, **names)
        self.subject: Hashable = None
        self._centre = False

    def fill(
        self, rows: Sequence[PanelRow], subject: Hashable = None, key: Hashable = None
    ) -> None:
        """Show other rows.

        Args:
            rows: the rows.
            subject: what they are about; the cursor stays on its row while it is the same.
            key: row to put the cursor on when the subject is another.
        """
        if subject == self.subject and isinstance(self.source, MemorySource):
            self.source.rows = rows
            self.reload()
            return
        self.subject = subject
        self.move_to(0)
        self._centre = key is not None
        self.show(MemorySource(rows, key=lambda row: row.key, text=_text), key=key or _first(rows))

    def rows_came(self) -> None:
        """Begin with the wanted row a third down, so that what leads to it is seen too."""
        super().rows_came()
        if self._centre and self.count:
            self._centre = False
            top = min(self.cursor - self.body_height // 3, self.count - self.body_height)
            self.scroll_to_row(top)

    def lines(self, row: PanelRow, look: Look, width: int) -> Sequence[Content]:
        """Return the one line."""
        return [row.content]

    def copy_of(self, row: PanelRow) -> tuple[str, str]:
        """Return the value as it is, else what is drawn."""
        return row.text or row.content.plain.strip(), "the value"

    def action_go_open(self) -> None:
        """Go where the row leads, or show its whole value."""
        row = self.current
        if row is None:
            return
        if row.target is not None:
            self.app.open_task(*row.target)
        elif row.title:
            self.app.show_message(row.title, row.text)


def _text(row: PanelRow) -> str:
    return f"{row.content.plain} {row.text}"


def _first(rows: Sequence[PanelRow]) -> Hashable:
    return rows[0].key if rows else None
