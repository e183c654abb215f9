"""Single lines of the run's screen: figures, what goes wrong, how the table is sorted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names


class Line(StripWidget):
    """A line of pieces; pieces with a key can be clicked.

    Attributes:
        left: pieces at the left edge, which give way.
        right: pieces at the right edge.
    """

    left: reactive[tuple[Piece, ...]] = reactive(())
    right: reactive[tuple[Piece, ...]] = reactive(())

    class Picked(Message):
        """A piece was clicked."""

        def __init__(self, line: Line, key: Hashable) -> None:
            super().__init__()
            self.line, self.key = line, key

        @property
        def control(self) -> Line:
            """The line that sent it."""
            return self.line

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)

    def say(
        self,
        left: Sequence[tuple[str, str] | Piece] = (),
        right: Sequence[tuple[str, str] | Piece] = (),
    ) -> None:
        """Show drawable pieces."""
        self.left, self.right = _pieces(left), _pieces(right)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        return [spread(self.left, self.right, cells, look.ellipsis)]

    def picked(self, key: Hashable) -> None:
        """Tell the screen."""
        self.post_message(self.Picked(self, key))


class PaneTabs(StripWidget):
    """The one-line head of a pane: ``clean[2] ── Logs ─ States ─ Inputs ─ Result ── following``.

    Attributes:
        title: drawable name of what the pane is about.
        tabs: key and name of each tab.
        active: key of the shown one.
        note: at the right end.
    """

    DEFAULT_CSS = """
    PaneTabs { padding: 0 1; }
    """
    title: reactive[str] = reactive("")
    tabs: reactive[tuple[tuple[str, str], ...]] = reactive(())
    active: reactive[str] = reactive("")
    note: reactive[str] = reactive("")

    class Chosen(Message):
        """Another tab was chosen."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(
        self, tabs: Sequence[tuple[str, str]], active: str, **names: Unpack[Names]
    ) -> None:
        super().__init__(**names)
        self.set_reactive(PaneTabs.tabs, tuple(tabs))
        self.set_reactive(PaneTabs.active, active)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        line = look.symbols.line
        focused = self.parent is not None and self.parent.has_pseudo_class("focus-within")
        left = [Piece(f"{self.title} ", "bold $fd-strong"), Piece(line * 2, "$fd-line")]
        for key, name in self.tabs:
            active = key == self.active
            accent = "bold $fd-accent" if focused else "bold $fd-strong"
            left.append(Piece(f" {name} ", accent if active else "$fd-muted", key))
            left.append(Piece(line, "$fd-line"))
        right = [Piece(f" {self.note} " if self.note else "", "$fd-faint"), Piece(line, "$fd-line")]
        found = spread(left, right, cells, look.ellipsis)
        gap = len(left) if len(found) > len(left) + len(right) else None
        if gap is not None:
            found[gap] = Piece(line * len(found[gap].text), "$fd-line")
        return [found]

    def picked(self, key: Hashable) -> None:
        """Show a tab."""
        self.choose(str(key))

    def choose(self, key: str) -> None:
        """Show a tab and say so."""
        if key != self.active:
            self.active = key
            self.post_message(self.Chosen(key))

    def step(self, step: int) -> None:
        """Go on to the next tab, round the end."""
        keys = [key for key, _ in self.tabs]
        place = keys.index(self.active) if self.active in keys else 0
        self.choose(keys[(place + step) % len(keys)])


def _pieces(parts: Sequence[tuple[str, str] | Piece]) -> tuple[Piece, ...]:
    return tuple(part if isinstance(part, Piece) else Piece(*part) for part in parts)
