"""What keys and mouse do in a line view; each function is an action of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from flowdeck_app.widgets.lines.surface import LineSurface

if TYPE_CHECKING:
    from textual.geometry import Offset

    from flowdeck_app.widgets.lines.cursor import LineCursor
    from flowdeck_app.widgets.lines.draw import Drawing

#: Cells that one key pans.
_PAN: Final = 8


class LineControls(LineSurface[Any], Protocol):
    """A line view with the parts that keys act on."""

    row_cursor: LineCursor[Any]
    drawing: Drawing[Any]

    def heading_clicked(self, x: int) -> None:
        """Handle a click on the heading."""

    def action_go_open(self) -> None:
        """Open the row under the cursor."""


def move_down(view: LineControls) -> None:
    """Go to the next row."""
    view.move_to(view.cursor + 1)


def move_up(view: LineControls) -> None:
    """Go to the row before."""
    view.move_to(view.cursor - 1)


def move_to_first(view: LineControls) -> None:
    """Go to the first row, and stay there whatever comes to stand in it."""
    view.move_to(0)
    view.row_cursor.held = False


def move_to_last(view: LineControls) -> None:
    """Go to the last row; where there is a follow mode, follow."""
    view.move_to(view.count - 1)
    view.set_follow(True)


def move_half_page_down(view: LineControls) -> None:
    """Go half a page down."""
    _move_page(view, max(1, view.body_height // 2))


def move_half_page_up(view: LineControls) -> None:
    """Go half a page up."""
    _move_page(view, -max(1, view.body_height // 2))


def move_page_down(view: LineControls) -> None:
    """Go a page down."""
    _move_page(view, view.body_height)


def move_page_up(view: LineControls) -> None:
    """Go a page up."""
    _move_page(view, -view.body_height)


def _move_page(view: LineControls, rows: int) -> None:
    """Move cursor and window together, so that the cursor keeps its line."""
    if not view.wrapped:
        view.scroll_to_row(min(view.top + rows, view.drawing.last_top()))
    view.move_to(view.cursor + rows)


def pan_left(view: LineControls) -> None:
    """Pan to the left."""
    view.pan_by(-_PAN)


def pan_right(view: LineControls) -> None:
    """Pan to the right."""
    view.pan_by(_PAN)


def toggle_mark(view: LineControls) -> None:
    """Mark or unmark the row under the cursor and go on to the next."""
    key = view.row_cursor.key
    if key is not None:
        view.set_marks(view.marks ^ {key})
        view.move_to(view.cursor + 1)


def find_next(view: LineControls) -> None:
    """Go to the next match."""
    view.row_cursor.find(view.cursor + 1, 1)


def find_previous(view: LineControls) -> None:
    """Go to the match before."""
    view.row_cursor.find(view.cursor - 1, -1)


def click(view: LineControls, at: Offset, times: int) -> None:
    """Put the cursor on the clicked row; open it at the second click."""
    if view.text_selection is not None and times == 1:
        return
    if at.y < view.drawing.heading_height:
        view.heading_clicked(at.x - 2)
        return
    place = view.drawing.row_on_line(at.y)
    if place is not None:
        view.move_to(place)
        if times == 2:
            view.action_go_open()
