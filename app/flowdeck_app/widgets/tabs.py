"""Tabs: names with counts over a rule, the active one marked by a heavy line and bold type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean, width
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.widgets.guard import Names


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab; ``count`` is shown behind the name when it is known."""

    key: str
    name: str
    count: int | None = None


class TabStrip(StripWidget):
    """A line of tabs and a rule below. The screen binds ``[`` and ``]`` and calls :meth:`step`.

    Attributes:
        tabs: the tabs.
        active: key of the shown one.
        note: pieces at the right end.
    """

    DEFAULT_CSS = """
    TabStrip { height: 2; padding: 0 1; }
    """
    tabs: reactive[tuple[Tab, ...]] = reactive(())
    active: reactive[str] = reactive("")
    note: reactive[tuple[Piece, ...]] = reactive(())

    class Chosen(Message):
        """Another tab is active."""

        def __init__(self, strip: TabStrip, key: str) -> None:
            super().__init__()
            self.strip, self.key = strip, key

        @property
        def control(self) -> TabStrip:
            """The strip that sent it."""
            return self.strip

    def __init__(self, tabs: Sequence[Tab] = (), active: str = "", **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.set_reactive(TabStrip.tabs, tuple(tabs))
        self.set_reactive(TabStrip.active, active or (tabs[0].key if tabs else ""))

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return names and rule."""
        signs = look.symbols
        texts = [self._text(tab, look) for tab in self.tabs]
        first = self._first_shown(texts, cells)
        names: list[Piece] = []
        rule: list[Piece] = []
        if first:
            names.append(Piece(signs.ellipsis, "$fd-muted", self.tabs[first - 1].key))
            rule.append(Piece(signs.line * width(signs.ellipsis), "$fd-line"))
        for tab, text in zip(self.tabs[first:], texts[first:], strict=True):
            active = tab.key == self.active
            names.append(Piece(text, "bold $fd-strong" if active else "$fd-muted", tab.key))
            names.append(Piece(" "))
            cells_of_tab = width(text)
            if active:
                rule.append(Piece(signs.done * cells_of_tab, "$fd-accent"))
            else:
                rule.append(Piece(signs.line * cells_of_tab, "$fd-line"))
            rule.append(Piece(signs.line, "$fd-line"))
        ruled = sum(width(piece.text) for piece in rule)
        rule.append(Piece(signs.line * max(0, cells - ruled), "$fd-line"))
        return [spread(names, self.note, cells, signs.ellipsis), rule]

    def _text(self, tab: Tab, look: Look) -> str:
        count = "" if tab.count is None else f" {number(tab.count, look.symbols.group)}"
        return f" {clean(tab.name)}{count} "

    def _first_shown(self, texts: Sequence[str], cells: int) -> int:
        """Return from which tab on they are shown, so that the active one is."""
        place = next((i for i, tab in enumerate(self.tabs) if tab.key == self.active), 0)
        noted = sum(width(piece.text) for piece in self.note)
        room = cells - (noted + 1 if noted else 0)
        first = 0
        while first < place and _ruled(texts[first : place + 1]) + (first > 0) > room:
            first += 1
        return first

    def picked(self, key: Hashable) -> None:
        """Show a tab."""
        self.choose(str(key))

    def choose(self, key: str) -> None:
        """Show a tab and say so."""
        if key != self.active and any(tab.key == key for tab in self.tabs):
            self.active = key
            self.post_message(self.Chosen(self, key))

    def step(self, step: int) -> None:
        """Show the next (1) or previous (-1) tab, round the end."""
        keys = [tab.key for tab in self.tabs]
        if keys:
            place = keys.index(self.active) if self.active in keys else 0
            self.choose(keys[(place + step) % len(keys)])

    def set_count(self, key: str, count: int | None) -> None:
        """Show another count behind a tab's name."""
        self.tabs = tuple(
            Tab(tab.key, tab.name, count) if tab.key == key else tab for tab in self.tabs
        )


def _ruled(texts: Sequence[str]) -> int:
    """Return the cells of tabs beside each other."""
    return sum(width(text) + 1 for text in texts) - 1
