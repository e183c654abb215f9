"""LineView: a list of any length, drawn line by line from the pages of a source.

Four views are made of it: task table, run table, log and timeline. A subclass says how one row
looks (:meth:`LineView.lines`); everything else is here and in :mod:`.line_rows`: cursor bound to
the row's key, vim, arrow and page keys, mouse, marks, search, follow mode, drag selection,
designed empty and error states. Nothing on the event loop waits for the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from flowdeck_app.actions import bindings
from flowdeck_app.widgets import line_messages, line_select
from flowdeck_app.widgets.guard import may
from flowdeck_app.widgets.line_messages import Changed, Opened
from flowdeck_app.widgets.line_rows import LineRows

if TYPE_CHECKING:
    from textual import events
    from textual.binding import BindingType
    from textual.selection import Selection

    from flowdeck_app.widgets.source import Key

R = TypeVar("R")


class LineView(LineRows[R], can_focus=True):
    """A windowed list over a :class:`~flowdeck_app.widgets.source.Source`, with keys and mouse.

    Subclasses override :meth:`lines`, and may override :meth:`heading`, :meth:`text_of`,
    :meth:`is_live` and :meth:`heading_clicked`.
    """

    ALLOW_SELECT = True
    #: Whether rows can be marked.
    MARKS: ClassVar[bool] = False
    DEFAULT_CSS = """
    LineView {
        background: $background;
        color: $foreground;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size: 1 1;
        height: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move.*", "go.open", "find.next", "find.previous")
    ]

    Highlighted = line_messages.Highlighted
    Opened = line_messages.Opened
    Changed = line_messages.Changed
    Failed = line_messages.Failed

    def move_to(self, index: int) -> None:
        """Put the cursor on a row and make it visible."""
        self._put_cursor(index)

    async def select_key(self, key: Key) -> bool:
        """Put the cursor on the row of a key; ``False`` if it is not among the rows."""
        source = self.source
        index = await source.run(lambda: source.index_of(key))
        if index is None:
            return False
        at_hand = self._data.key_at(index)
        if source is not self.drawn_source:
            self._cursor_key = key
        elif at_hand == key or (at_hand is None and self._reloading is None):
            self._put_cursor(index)
        else:  # the source knows a newer order than the one drawn, which is on its way
            self._cursor_key = key
            self._reveal = True
            self._moved_at = float("-inf")
            self.reload()
        return True

    def set_follow(self, follow: bool) -> None:
        """Enter or leave follow mode."""
        if follow == self.follow or not self.FOLLOWS:
            return
        self.follow = follow
        self.new_below = 0
        if follow:
            self._to_end()
        self.redraw()
        self.post_message(Changed(self))

    def search(self, text: str) -> None:
        """Highlight a text in the rows (``""`` ends it) and go to the first match from here."""
        self.searched = text
        self.redraw()
        if text:
            self._find(self.cursor, 1)

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor and go on to the next."""
        if self._cursor_key is None:
            return
        self.marks ^= {self._cursor_key}
        self._drawing.clear()
        self._put_cursor(self.cursor + 1)
        self.refresh()
        self.post_message(Changed(self))

    def set_marks(self, keys: set[Key]) -> None:
        """Mark exactly these rows."""
        self.marks = set(keys)
        self.redraw()
        self.post_message(Changed(self))

    # -- the cursor ------------------------------------------------------------------------

    def _put_cursor(self, index: int) -> None:
        self._moved_at = self.monotonic()
        last = self.count - 1
        index = max(0, min(index, last))
        if self.follow and index < last:
            self.set_follow(False)
        old, self.cursor = self.cursor, index
        if index != old or self._cursor_key is None:
            self._cursor_key = self._data.key_at(index)
            self._drawing.forget(old, index)
        top = self.top
        self._show_cursor()
        if self.top != top or self.wrapped:
            self.refresh()
        else:
            self._drawing.repaint(old, index)
        self._tell_cursor()

    def action_move_down(self) -> None:
        """Go to the next row."""
        self._put_cursor(self.cursor + 1)

    def action_move_up(self) -> None:
        """Go to the row before."""
        self._put_cursor(self.cursor - 1)

    def action_move_first(self) -> None:
        """Go to the first row."""
        self._put_cursor(0)

    def action_move_last(self) -> None:
        """Go to the last row; where there is a follow mode, follow."""
        self._put_cursor(self.count - 1)
        self.set_follow(True)

    def action_move_half_down(self) -> None:
        """Go half a page down."""
        self._by(max(1, self.body_height // 2))

    def action_move_half_up(self) -> None:
        """Go half a page up."""
        self._by(-max(1, self.body_height // 2))

    def action_move_page_down(self) -> None:
        """Go a page down."""
        self._by(self.body_height)

    def action_move_page_up(self) -> None:
        """Go a page up."""
        self._by(-self.body_height)

    def _by(self, rows: int) -> None:
        """Move cursor and window together, so that the cursor keeps its line."""
        if not self.wrapped:
            self._scroll(min(self.top + rows, self._drawing.last_top()))
        self._put_cursor(self.cursor + rows)

    def action_move_left(self) -> None:
        """Pan to the left."""
        self._pan(-8)

    def action_move_right(self) -> None:
        """Pan to the right."""
        self._pan(8)

    def _pan(self, cells: int) -> None:
        widest = max(0, self._drawing.widest - self.body_width)
        pan = max(0, min(self.pan + cells, widest))
        if pan != self.pan:
            self.pan = pan
            self.redraw()

    def action_go_open(self) -> None:
        """Open the row under the cursor."""
        if self.count:
            self.post_message(Opened(self, self._cursor_key, self.current))

    def action_mark_toggle(self) -> None:
        """Mark the row."""
        self.toggle_mark()

    def action_find_next(self) -> None:
        """Go to the next match."""
        self._find(self.cursor + 1, 1)

    def action_find_previous(self) -> None:
        """Go to the match before."""
        self._find(self.cursor - 1, -1)

    def _find(self, start: int, step: int) -> None:
        if self.searched and self.count:
            self.run_worker(
                self._find_from(start % self.count, step),
                group="find",
                exclusive=True,
                exit_on_error=False,
            )

    async def _find_from(self, start: int, step: int) -> None:
        source, text = self.drawn_source, self.searched
        try:
            found = await source.run(lambda: source.find(text, start, step))
        except Exception as error:  # as in _load_once
            self._failed(error)
            return
        if found is None:
            self.notify(f"No match for {text!r}", markup=False, timeout=2)
        else:
            self._put_cursor(found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the screen's guards; a key that would do nothing here goes on to the screen."""
        if action in {"find_next", "find_previous"} and not self.searched:
            return False
        return may(self, action)

    # -- mouse -----------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked row; a double click opens it."""
        if self.text_selection is not None and event.chain == 1:
            return
        at = event.get_content_offset(self)
        if at is None:
            return
        if at.y < self._drawing.heading_height:
            self.heading_clicked(at.x - 2)
            return
        place = self._drawing.row_on_line(at.y)
        if place is None:
            return
        self._put_cursor(place)
        if event.chain == 2:
            self.action_go_open()

    # -- what Textual tells ----------------------------------------------------------------

    def notify_style_update(self) -> None:
        """Forget colours when theme or focus changed."""
        super().notify_style_update()
        self._drawing.forget_styles()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Draw the cursor in its focused or blurred form."""
        super().watch_has_focus(has_focus)
        self._drawing.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Leave follow mode when the user scrolls up, enter nothing by itself."""
        super().watch_scroll_y(old_value, new_value)
        if self.follow and new_value < old_value and new_value < self._drawing.last_top():
            self.follow = False
            self.new_below = 0
            self.post_message(Changed(self))
        elif self.new_below and new_value >= self._drawing.last_top():
            self.new_below = 0

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Put the thumb where the window is: rows may have been scrolled before there was a bar."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    # -- selection -------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text of the rows at hand; see :meth:`selected_text`."""
        return line_select.text_at_hand(self, selection), "\n"

    async def selected_text(self) -> str:
        """Return the whole selected text, also of rows that are not at hand."""
        selection = self.text_selection
        return "" if selection is None else await line_select.whole_text(self, selection)
