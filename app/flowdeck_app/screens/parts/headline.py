"""What went wrong, as the title of a screen: a message takes the lines it needs, within reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.reactive import reactive

from flowdeck_app.drawing.cells import cut, width, wrap_cells
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.screens.parts.strips import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size

    from flowdeck_app.drawing.look import Look

#: Lines at most, by the height of the terminal: from these lines on, so many.
MOST: Final = ((45, 6), (28, 3), (0, 2))
#: Lines of a terminal from which on more than what went wrong is said.
ROOM_AFTER: Final = 20


def headline_rows(text: str, first: int, cells: int, most: int, ellipsis: str) -> list[str]:
    """Return a text in at most ``most`` lines.

    The end of a message often says most, so it is the middle that is left out.

    Args:
        text: one drawable line.
        first: cells there are on the first line.
        cells: cells there are on the others.
        most: how many lines there may be.
        ellipsis: stands for what is left out.
    """
    first, cells = max(first, 2), max(cells, 2)  # a widget without a size is asked, too
    begin = wrap_cells(text, first)[0]
    lines = [begin, *wrap_cells(text[len(begin) :], cells)] if begin != text else [begin]
    if len(lines) > most:
        room = (first if most == 1 else cells) - width(ellipsis)
        last = text
        while width(last) > room:
            last = last[max(1, (len(last) - room) // 2) :]
        lines = [*lines[: most - 1], ellipsis + last]
    return [line.strip() for line in lines]


def first_lines(text: str, cells: int, most: int, ellipsis: str) -> list[str]:
    """Return the begin of a text in at most ``most`` lines; what follows is left out.

    Args:
        text: one drawable line; ``""`` has no lines.
        cells: cells there are on each.
        most: how many lines there may be.
        ellipsis: stands for what is left out.
    """
    if not text or most < 1:
        return []
    cells = max(cells, 2)  # a widget without a size is asked, too
    lines = wrap_cells(text, cells)
    if len(lines) > most:
        lines = [*lines[: most - 1], cut("".join(lines[most - 1 :]), cells, ellipsis=ellipsis)]
    return [line.strip() for line in lines]


class Headline(Line):
    """A line that grows with its text: one piece at the left, the state at the right; below it what
    more there is to say, where there is room.

    Attributes:
        after: drawable text that follows in lines of its own; a click on it is ``"why"``.
    """

    after: reactive[str] = reactive("")

    DEFAULT_CSS = """
    Headline { height: auto; }
    """

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the first line with the state, and the rest of the text below."""
        most = next(most for least, most in MOST if self.app.size.height >= least)
        rows = [] if self.after and not self.left else self._said(look, cells, most)
        room = most - len(rows) if self.app.size.height >= ROOM_AFTER else 0
        after = first_lines(self.after, cells, room, look.ellipsis)
        return [*rows, *([Piece(line, "$fd-muted", "why")] for line in after)]

    def _said(self, look: Look, cells: int, most: int) -> list[list[Piece]]:
        end = look.ellipsis
        if len(self.left) != 1:
            return [spread(self.left, self.right, cells, end)]
        said = self.left[0]
        taken = sum(width(piece.text) for piece in self.right)
        first = cells - taken - 2 if taken else cells
        head, *rest = headline_rows(said.text, first, cells, most, end)
        below = [[Piece(line, said.style, said.key)] for line in rest]
        return [spread([Piece(head, said.style, said.key)], self.right, cells, end), *below]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines for the width that it is about to get, not for the one it has."""
        return len(self.rows(self.look, width))

    def watch_left(self) -> None:
        """Take the lines that the text needs."""
        self.refresh(layout=True)

    def watch_right(self) -> None:
        """As above: the first line has more or less room."""
        self.refresh(layout=True)

    def watch_after(self) -> None:
        """Take the lines that the text needs, or give them back."""
        self.refresh(layout=True)
