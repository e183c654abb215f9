"""LineView: a list of any length, drawn line by line from the pages of a source.

Task table, run table, log, timeline, facts and frames are made of it. Textual's ``DataTable`` holds its
rows and measures every cell of them: 100,000 took 1.5 s to add and the app then stood still for 8 s,
at 152 MB. A table over Arrow painted in 0.8 s, but each changed cell cost 10 to 28 ms. A view that
asks for what it shows and draws that line by line took 0.07 s; a change costs what the window costs.

A subclass says how one row looks (:meth:`LineView.lines`). Everything else is done by the parts, which
know the view only as a :class:`~flowdeck_app.widgets.lines.surface.LineSurface`: asking the source
(:mod:`.loading`, over :mod:`.data` and :mod:`.pages`), the cursor that goes with its row
(:mod:`.cursor`), drawing (:mod:`.draw`, :mod:`.paint`, :mod:`.states`) and drag selection
(:mod:`.select`). The view itself has keys, mouse, marks and follow mode.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, Unpack

from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView

from flowdeck_app.actions import bindings
from flowdeck_app.events.living import Living
from flowdeck_app.widgets.guard import Names, look_of, may
from flowdeck_app.widgets.lines import keys, messages, select
from flowdeck_app.widgets.lines.cursor import LineCursor
from flowdeck_app.widgets.lines.draw import Drawing
from flowdeck_app.widgets.lines.loading import AGE, SLOW, LineLoader
from flowdeck_app.widgets.lines.messages import Changed, Opened
from flowdeck_app.widgets.lines.paint import Painter
from flowdeck_app.widgets.lines.source import Key, MemorySource, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual import events
    from textual.binding import BindingType
    from textual.geometry import Region
    from textual.selection import Selection
    from textual.strip import Strip

    from flowdeck_app.drawing.look import Look

R = TypeVar("R")


class LineView(Living, ScrollView, Generic[R], can_focus=True):
    """A windowed list over a :class:`~flowdeck_app.widgets.lines.source.Source`, with keys and mouse.

    Subclasses override :meth:`lines`, and may override :meth:`heading`, :meth:`copy_of`,
    :meth:`is_live`, :meth:`rows_came` and :meth:`heading_clicked`.

    Args:
        source: the rows.
        empty: what is shown without rows: a title and a line that says what would be here.

    Attributes:
        marked: texts that are highlighted in the rows, besides the one that is searched for.
        wrapped: rows may take several lines (:meth:`lines` returns them).
        follow: stay at the end while rows arrive.
        new_below: rows that came below the window since follow mode was left.
        slow: the first answer takes long enough to say so.
        error: why the source could not be asked.
        monotonic: the clock of the freeze, in seconds; tests replace it.
    """

    ALLOW_SELECT = True
    #: Whether rows say how long ago something was.
    AGES: ClassVar[bool] = False
    #: Whether there is a follow mode (logs).
    FOLLOWS: ClassVar[bool] = False
    DEFAULT_CSS = """
    LineView {
        background: $background; color: $foreground; height: 1fr;
        overflow-x: hidden; overflow-y: auto; scrollbar-size: 1 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move.*", "go.open", "find.next", "find.previous")
    ]

    Highlighted, Opened = messages.Highlighted, messages.Opened
    Changed, Failed = messages.Changed, messages.Failed

    def __init__(
        self,
        source: Source[R] | None = None,
        *,
        empty: tuple[str, str] = ("Nothing here", ""),
        **names: Unpack[Names],
    ) -> None:
        super().__init__(**names)
        self.empty = empty
        self.wrapped = False
        self.follow = self.FOLLOWS
        self.monotonic: Callable[[], float] = time.monotonic
        self.marks: set[Key] = set()
        self.pan = 0
        self.searched = ""
        self.marked: tuple[str, ...] = ()
        self.new_below = 0
        self.slow = False
        self.error: Exception | None = None
        self.drawing: Drawing[R] = Drawing(self, Painter(self))
        self.row_cursor: LineCursor[R] = LineCursor(self, self.drawing)
        rows = source if source is not None else MemorySource[R]()
        self.loader: LineLoader[R] = LineLoader(self, rows, self.row_cursor, self.drawing)
        self._ticks = 0

    # -- what subclasses say ---------------------------------------------------------------

    def lines(self, row: R, look: Look, width: int) -> Sequence[Content]:
        """Return the row as one line, or as several while :attr:`wrapped`; a line of more than
        ``width`` cells is cut, or panned."""
        return [Content(str(row))]

    def heading(self, look: Look, width: int) -> Content | None:
        """Return the fixed first line, ``None`` without one."""
        return None

    def copy_of(self, row: R) -> tuple[str, str] | None:
        """Return what the key for copying takes of a row, and what to call that."""
        return None

    def is_live(self, row: R) -> bool:
        """Say whether the row looks different with every second (a growing duration)."""
        return False

    def heading_clicked(self, x: int) -> None:
        """Handle a click on the heading, ``x`` cells from the body's left edge."""

    def rows_came(self) -> None:
        """Draw what is at hand now, and tell of it."""
        self.fit_height()
        self.drawing.repaint_changed()
        self.post_message(Changed(self))

    # -- rows ------------------------------------------------------------------------------

    @property
    def source(self) -> Source[R]:
        """What is to be shown (see :meth:`show`); its rows may still be on their way."""
        return self.loader.source

    @property
    def drawn_source(self) -> Source[R]:
        """Where the drawn rows come from."""
        return self.loader.data.source

    @property
    def count(self) -> int:
        """How many rows there are, as of the last load."""
        return self.loader.data.count

    @property
    def loaded(self) -> bool:
        """Whether the source has answered at least once."""
        return self.loader.loaded

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor."""
        return self.row_cursor.index

    @property
    def current(self) -> R | None:
        """The row under the cursor, if it is at hand."""
        return self.row_at(self.cursor)

    @property
    def current_key(self) -> Key | None:
        """The key of the row under the cursor."""
        return self.row_cursor.key

    @property
    def to_copy(self) -> tuple[str, str] | None:
        """What copying takes of the row under the cursor, and what that is called."""
        row = self.current
        return None if row is None else self.copy_of(row)

    def row_at(self, index: int) -> R | None:
        """Return a row that is at hand."""
        return self.loader.data.row(index)

    def key_at(self, index: int) -> Key | None:
        """Return the key of a row that is at hand."""
        return self.loader.data.key_at(index)

    def key_of(self, row: R) -> Key:
        """Return the key of a row that is drawn."""
        return self.drawn_source.key(row)

    def want_rows(self, first: int, last: int) -> None:
        """Fetch the rows that are drawn, as far as they are not at hand."""
        self.loader.want_rows(first, last)

    def show(self, source: Source[R], *, key: Key | None = None, top: bool = False) -> None:
        """Show another source (another run, another filter).

        The present rows stay until the new ones are there, or until that takes long.

        Args:
            source: the new rows.
            key: the row to put the cursor on; without it the present one, if it is there too.
            top: begin at the first row (logs: at the end, following), for another subject.
        """
        self.loader.show(source, key, top)

    def reload(self) -> None:
        """Ask the source anew, soon and off the event loop; bursts are joined."""
        self.loader.reload()

    # -- the window ------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        """Clock, signs and time mode of the app."""
        return look_of(self.app)

    @property
    def line_width(self) -> int:
        """Cells of a line: all but the column that is kept for the scrollbar."""
        return max(1, self.size.width - 1)

    @property
    def body_width(self) -> int:
        """Cells for a row: without cursor bar, mark, right edge and scrollbar."""
        return max(1, self.size.width - 4)

    @property
    def body_height(self) -> int:
        """Lines for rows: without the heading."""
        return max(1, self.size.height - self.drawing.heading_height)

    @property
    def top(self) -> int:
        """Index of the first visible row."""
        return int(self.scroll_offset.y)

    def fit_height(self) -> None:
        """Make what can be scrolled over as high as there are rows."""
        size = Size(max(1, self.size.width), self.drawing.virtual_height())
        if size != self.virtual_size:
            self.virtual_size = size

    def scroll_to_row(self, index: int) -> None:
        """Make a row the first visible one."""
        self.scroll_to(y=max(0, index), animate=False, force=True)

    def redraw(self) -> None:
        """Draw every row afresh: look, columns, wrap or search changed."""
        self.drawing.clear()
        self.fit_height()
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw; lines drawn here carry no text offsets (only hit tests need them)."""
        self.drawing.begin()
        try:
            return super().render_lines(crop)
        finally:
            self.drawing.end()

    def render_line(self, y: int) -> Strip:
        """Return line ``y`` of the widget."""
        return self.drawing.line(y)

    # -- cursor, marks, follow mode, search ------------------------------------------------

    def move_to(self, index: int) -> None:
        """Put the cursor on a row and make it visible."""
        self.row_cursor.move_to(index)

    async def select_key(self, key: Key) -> bool:
        """Put the cursor on the row of a key; ``False`` if it is not among the rows."""
        return await self.loader.go_to_key(key)

    def set_follow(self, follow: bool) -> None:
        """Enter or leave follow mode."""
        if follow == self.follow or not self.FOLLOWS:
            return
        self.follow = follow
        self.new_below = 0
        if follow:
            self.row_cursor.go_to_end()
        self.redraw()
        self.post_message(Changed(self))

    def search(self, text: str) -> None:
        """Highlight a text in the rows (``""`` ends it) and go to the first match from here."""
        self.searched = text
        self.redraw()
        if text:
            self.row_cursor.find(self.cursor, 1)

    def set_marks(self, keys: set[Key]) -> None:
        """Mark exactly these rows."""
        self.marks = set(keys)
        self.redraw()
        self.post_message(Changed(self))

    # -- keys ------------------------------------------------------------------------------

    action_move_down = keys.move_down
    action_move_up = keys.move_up
    action_move_first = keys.move_to_first
    action_move_last = keys.move_to_last
    action_move_half_down = keys.move_half_page_down
    action_move_half_up = keys.move_half_page_up
    action_move_page_down = keys.move_page_down
    action_move_page_up = keys.move_page_up
    action_move_left = keys.pan_left
    action_move_right = keys.pan_right
    action_mark_toggle = keys.toggle_mark
    action_find_next = keys.find_next
    action_find_previous = keys.find_previous

    def action_go_open(self) -> None:
        """Open the row under the cursor."""
        if self.count:
            self.post_message(Opened(self, self.current_key, self.current))

    def pan_by(self, cells: int) -> None:
        """Show what lies so many cells to the right."""
        widest = max(0, self.drawing.widest - self.body_width)
        pan = max(0, min(self.pan + cells, widest))
        if pan != self.pan:
            self.pan = pan
            self.redraw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Ask the screen's guards; a key that would do nothing here goes on to the screen."""
        if action in {"find_next", "find_previous"} and not self.searched:
            return False
        return may(self, action)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the clicked row; a double click opens it."""
        at = event.get_content_offset(self)
        if at is not None:
            keys.click(self, at, event.chain)

    # -- what Textual tells ----------------------------------------------------------------

    def on_mount(self) -> None:
        """Start the one-second tick of growing durations."""
        self.set_interval(1.0, self._tick)
        self.set_timer(SLOW, self.loader.check_slow)

    def _tick(self) -> None:
        if not self.screen.is_active:
            return  # also behind a dialog: there the smallest change draws all of the screen
        self._ticks += 1
        if self.AGES and self._ticks % AGE == 0:
            self.redraw()
        elif self.drawing.expire_live():
            self.drawing.repaint_changed()

    def on_resize(self, event: events.Resize) -> None:
        """Fit rows and scroll position to the new size."""
        self.redraw()
        self.loader.fit_window()

    def notify_style_update(self) -> None:
        """Forget colours when theme or focus changed."""
        super().notify_style_update()
        self.drawing.forget_styles()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Draw the cursor in its focused or blurred form."""
        super().watch_has_focus(has_focus)
        self.drawing.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Leave follow mode when the user scrolls up, enter nothing by itself."""
        super().watch_scroll_y(old_value, new_value)
        if self.follow and new_value < old_value and new_value < self.drawing.last_top():
            self.follow = False
            self.new_below = 0
            self.post_message(Changed(self))
        elif self.new_below and new_value >= self.drawing.last_top():
            self.new_below = 0

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Put the thumb where the window is: rows may have been scrolled before there was a bar."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    # -- selection -------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text of the rows at hand; see :meth:`selected_text`."""
        return select.text_at_hand(self, selection), "\n"

    async def selected_text(self) -> str:
        """Return the whole selected text, also of rows that are not at hand."""
        selection = self.text_selection
        return "" if selection is None else await select.whole_text(self, selection)
