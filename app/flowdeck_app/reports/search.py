"""What a search has found as text: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing import times
from flowdeck_app.drawing.cells import clean
from flowdeck_app.drawing.levels import level_style, level_word
from flowdeck_app.drawing.tables import TextColumn, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.search import Hit

_COLUMNS: Final = (
    TextColumn("When"),
    TextColumn("Run"),
    TextColumn("Flow", least=6),
    TextColumn("Level"),
    TextColumn("Text", least=20),
)


def hit_table(hits: Sequence[Hit], look: Look) -> list[str]:
    """Return a heading and one line for each log line or failure that was found."""
    rows: list[Row] = [
        [
            times.calendar(hit.us, look.now_us, dash=look.dash),
            hit.ref,
            clean(hit.flow),
            (level_word(hit.level), level_style(hit.level)),
            clean(hit.text),
        ]
        for hit in hits
    ]
    return table(_COLUMNS, rows, look)
