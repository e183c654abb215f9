"""The first line of every screen: where you are, a few facts, and how the record answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.drawing.cells import clean, cut, fit_middle, width
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.live import Health, StoreHealth
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.signs import Symbols
    from flowdeck_app.widgets.guard import Names

_STYLES: Final = {
    Health.LIVE: "$fd-completed",
    Health.STALE: "$fd-retrying",
    Health.READ_ONLY: "$fd-muted",
    Health.MISSING: "$fd-muted",
    Health.CORRUPT: "$fd-failed",
    Health.NEWER: "$fd-failed",
}

_ROOT: Final = "flowdeck"
#: A name in fewer cells says nothing any more.
_LEAST: Final = 5
#: Most cells for the name of the record.
_NAME: Final = 24


def shortened(trail: Sequence[str], room: int, ellipsis: str = "…") -> list[str]:
    """Return drawable names that fit beside each other, the longest ones cut in their middle.

    The present level is the last one: cut at the end, the line would say everything but that.

    Args:
        trail: names of the levels.
        room: cells for all of them.
        ellipsis: what stands for what is left out.
    """
    names = [clean(name) for name in trail]
    widths = [width(name) for name in names]
    most = max(widths, default=0)
    while most > _LEAST and sum(min(cells, most) for cells in widths) > room:
        most -= 1
    return [
        name if cells <= most else fit_middle(name, most, ellipsis=ellipsis).rstrip()
        for name, cells in zip(names, widths, strict=True)
    ]


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
        health = self._health(signs)
        between = f" {signs.separator} "
        root = self._root()
        room = cells - width(health.text) - 1 - width(root) - len(self.trail) * width(between)
        left = [Piece(root, "bold $fd-accent", -1)]
        for level, name in enumerate(shortened(self.trail, room, signs.ellipsis)):
            last = level == len(self.trail) - 1
            style = "bold $fd-strong" if last else "$fd-muted"
            left += [Piece(between, "$fd-faint"), Piece(name, style, level)]
        facts = [*self.facts, Piece("   ")] if self.facts else []
        taken = sum(width(piece.text) for piece in (*left, *facts, health))
        right = [*facts, health] if taken < cells else [health]
        return [spread(left, right, cells, signs.ellipsis)]

    def _root(self) -> str:
        """Return our name, and which record it is where there are several."""
        name = clean(getattr(self.app, "record_name", "")) if self.is_attached else ""
        return f"{_ROOT} {cut(name, _NAME)}" if name else _ROOT

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
