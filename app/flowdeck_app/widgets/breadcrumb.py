"""The first line of every screen: where you are, a few facts, and how the record answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.live import Health, StoreHealth
from flowdeck_app.views.text import clean
from flowdeck_app.widgets.strip_widget import Piece, StripWidget, spread

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.glyphs import Symbols
    from flowdeck_app.views.look import Look
    from flowdeck_app.widgets.guard import Names

_STYLES: Final = {
    Health.LIVE: "$fd-completed",
    Health.STALE: "$fd-retrying",
    Health.READ_ONLY: "$fd-muted",
    Health.MISSING: "$fd-muted",
    Health.CORRUPT: "$fd-failed",
    Health.NEWER: "$fd-failed",
}


class Breadcrumb(StripWidget):
    """``flowdeck › Runs › etl_daily › brave-otter          dask · 4 workers   ◉ live``

    Attributes:
        trail: names of the levels, the present one last.
        facts: pieces for the right side, before the health of the store.
        store: how the record answers.
    """

    DEFAULT_CSS = """
    Breadcrumb { dock: top; padding: 0 1; }
    """

    trail: reactive[tuple[str, ...]] = reactive(())
    facts: reactive[tuple[Piece, ...]] = reactive(())
    store: reactive[StoreHealth] = reactive(StoreHealth(Health.LIVE))

    class Picked(Message):
        """A level of the trail was clicked; ``level`` counts from the first name."""

        def __init__(self, level: int) -> None:
            super().__init__()
            self.level = level

    def __init__(self, trail: Sequence[str] = (), **names: Unpack[Names]) -> None:
        super().__init__(**names)
        self.set_reactive(Breadcrumb.trail, tuple(trail))

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        signs = look.symbols
        left = [Piece("flowdeck", "bold $fd-accent", -1)]
        for level, name in enumerate(self.trail):
            last = level == len(self.trail) - 1
            style = "bold $fd-strong" if last else "$fd-muted"
            left += [Piece(f" {signs.separator} ", "$fd-faint"), Piece(clean(name), style, level)]
        facts = [*self.facts, Piece("   ")] if self.facts else []
        health = self._health(signs)
        taken = sum(len(piece.text) for piece in (*left, *facts, health))
        right = [*facts, health] if taken < cells else [health]
        return [spread(left, right, cells, signs.ellipsis)]

    def _health(self, signs: Symbols) -> Piece:
        sign = {
            Health.LIVE: signs.live,
            Health.STALE: signs.stale,
            Health.MISSING: signs.stale,
            Health.READ_ONLY: signs.archived,
        }.get(self.store.health, "!")
        text = f"{sign} {self.store.text(time.monotonic())}"
        return Piece(text, _STYLES[self.store.health], "health")

    def picked(self, key: Hashable) -> None:
        """Tell the screen which level was clicked."""
        if isinstance(key, int):
            self.post_message(self.Picked(key))
