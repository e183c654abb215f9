"""Numbers over runs as a line of bars, on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look


def spark(values: Sequence[float], look: Look, cells: int = 40) -> str:
    """Return the last values as bars between the least and the greatest of them."""
    shown = list(values)[-cells:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    levels = look.symbols.levels
    if high <= low:
        return levels[len(levels) // 2] * len(shown)
    top = len(levels) - 1
    return "".join(levels[round((value - low) / (high - low) * top)] for value in shown)
