"""The cursor of a line view: it is on a row, not on a place.

Rows come and go under the eyes of the user. A cursor that kept its place would be on another row
after every change, and the key that cancels what is under it would cancel something else. So the
cursor is bound to its row's key. It is bound only once somebody has moved it: before, it would be
carried down, and the window with it, by whatever comes to stand above, which in the table of task
runs is what went wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from flowdeck_app.widgets.lines.messages import Failed, Highlighted

if TYPE_CHECKING:
    from flowdeck_app.widgets.lines.draw import Drawing
    from flowdeck_app.widgets.lines.source import Key
    from flowdeck_app.widgets.lines.surface import LineSurface

R = TypeVar("R")


class LineCursor(Generic[R]):
    """The row that the cursor is on.

    Attributes:
        index: where the row is; ``key`` names it.
        held: the cursor stays with its row: somebody has put it there.
        moved_at: when somebody last moved it, by the view's clock.
    """

    def __init__(self, view: LineSurface[R], drawing: Drawing[R]) -> None:
        self._view, self._drawing = view, drawing
        self.index = 0
        self.key: Key | None = None
        self.held = False
        self.moved_at = float("-inf")
        self._told: tuple[Key | None, int] | None = None

    @property
    def bound_key(self) -> Key | None:
        """The row that the cursor goes with, ``None`` while it only stays at the top."""
        return self.key if self.held else None

    def bind(self, key: Key) -> None:
        """Go with a row, wherever it is or will be."""
        self.key, self.held = key, True

    def reset(self) -> None:
        """Go to the top, and with no row."""
        self.index, self.key, self.held = 0, None, False

    def release(self) -> None:
        """Let rows stand in the place of the cursor's row without loading: they move at once."""
        self.moved_at = float("-inf")

    def move_to(self, index: int) -> None:
        """Put the cursor on the row at an index, as the user's doing, and make it visible."""
        view, drawing = self._view, self._drawing
        self.moved_at = view.monotonic()
        self.held = True
        last = view.count - 1
        index = max(0, min(index, last))
        if view.follow and index < last:
            view.set_follow(False)
        old, self.index = self.index, index
        if index != old or self.key is None:
            self.key = view.key_at(index)
            drawing.forget(old, index)
        top = view.top
        self.reveal()
        if view.top != top or view.wrapped:
            view.refresh()
        else:
            drawing.repaint(old, index)
        self.tell_row()

    def reveal(self) -> None:
        """Scroll as little as makes the cursor's row visible."""
        top = self._drawing.top_showing(self.index)
        if top != self._view.top:
            self._view.scroll_to_row(top)

    def go_to_end(self) -> None:
        """Go to the last row, and scroll to the end."""
        self.index = max(0, self._view.count - 1)
        self.key = self._view.key_at(self.index)
        self._view.scroll_to_row(self._drawing.last_top())

    def follow_row(self, place: int | None) -> None:
        """Go where the row is now; ``None``: it is gone, and the cursor stays where it is."""
        view = self._view
        last = max(0, view.count - 1)
        if place is None:
            place = min(self.index, last)
        if view.follow:
            place = last
        moved = place != self.index
        self.index = place
        key = view.key_at(place)
        if key is not None or view.count == 0:
            moved = moved or key != self.key
            self.key = key
        if moved:
            self._drawing.clear()
        self.tell_row()

    def tell_row(self) -> None:
        """Say which row the cursor is on, where that is news."""
        view = self._view
        row = view.row_at(self.index)
        if row is not None and self.key is None:
            self.key = view.key_of(row)
        told = (self.key, id(row))
        if told != self._told:
            self._told = told
            view.post_message(Highlighted(view, self.key, row))

    def find(self, start: int, step: int) -> None:
        """Go to the next row with the text that is searched for.

        Args:
            start: index to begin with, round the ends.
            step: 1 forwards, -1 backwards.
        """
        view = self._view
        if view.searched and view.count:
            work = self._find_from(start % view.count, step)
            view.run_worker(work, group="find", exclusive=True, exit_on_error=False)

    async def _find_from(self, start: int, step: int) -> None:
        view = self._view
        source, text = view.drawn_source, view.searched
        try:
            found = await source.run(lambda: source.find(text, start, step))
        except Exception as error:  # whatever a source raises is shown, never fatal
            view.error = error
            view.refresh()
            view.post_message(Failed(view, error))
            return
        if found is None:
            view.notify(f"No match for {text!r}", markup=False, timeout=2)
        else:
            self.move_to(found)
