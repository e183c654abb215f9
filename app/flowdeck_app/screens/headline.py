"""What went wrong, as the title of a screen: a message takes the lines it needs, within reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.screens.run_strips import Line
from flowdeck_app.views.text import width, wrap_cells
from flowdeck_app.widgets.strip_widget import Piece, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.geometry import Size

    from flowdeck_app.views.look import Look

#: Lines at most, by the height of the terminal: from these lines on, so many.
MOST: Final = ((45, 6), (28, 3), (0, 2))


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


class Headline(Line):
    """A line that grows with its text: one piece at the left, the state at the right."""

    DEFAULT_CSS = """
    Headline { height: auto; }
    """

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the first line with the state, and the rest of the text below."""
        end = look.symbols.ellipsis
        if len(self.left) != 1:
            return [spread(self.left, self.right, cells, end)]
        said = self.left[0]
        taken = sum(width(piece.text) for piece in self.right)
        first = cells - taken - 2 if taken else cells
        most = next(most for least, most in MOST if self.app.size.height >= least)
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
