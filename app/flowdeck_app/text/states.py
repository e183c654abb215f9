"""Each state's glyph, word and colour. Colour is never the only sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.glyphs import BUCKET_KINDS, Kind, kind_of
from flowdeck_app.text.safe import one_line
from flowdeck_app.text.tables import Cell
from flowdeck_store.records import state_name
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.text.look import Look, Style

STYLES: Final[dict[Kind, Style]] = {
    Kind.SCHEDULED: "grey",
    Kind.LATE: "yellow",
    Kind.PENDING: "grey",
    Kind.RUNNING: "blue",
    Kind.RETRYING: "yellow",
    Kind.PAUSED: "yellow",
    Kind.COMPLETED: "green",
    Kind.CACHED: "cyan",
    Kind.FAILED: "red",
    Kind.CRASHED: "orange",
    Kind.CANCELLING: "magenta",
    Kind.CANCELLED: "magenta",
    Kind.SKIPPED: "grey",
}
#: In which order counts are read: what is done, goes on, waits, went wrong.
_ORDER: Final = (
    "completed", "cached", "running", "scheduled", "pending", "failed", "crashed", "cancelled",
    "not_ready",
)  # fmt: skip
#: Buckets of task runs that are over.
ENDED: Final = ("completed", "cached", "failed", "crashed", "cancelled", "not_ready")


def glyph(code: int, name: str | None, look: Look) -> str:
    """Return a state's glyph, coloured."""
    kind = kind_of(code, name)
    return look.paint(look.symbols.of(kind), STYLES[kind])


def state(code: int, name: str | None, look: Look) -> str:
    """Return glyph and word of a state, coloured: ``✓ Completed``."""
    cell = state_cell(code, name, look)
    return look.paint(cell.text, cell.style)


def state_cell(code: int, name: str | None, look: Look) -> Cell:
    """Return glyph and word of a state as a table's cell."""
    kind = kind_of(code, name)
    return Cell(f"{look.symbols.of(kind)} {one_line(state_name(code, name), 40)}", STYLES[kind])


def counts(numbers: Sequence[int], look: Look, *, words: bool = False) -> str:
    """Return the task runs of a run per state, without the zeros: ``✓ 141  ▸ 8  ✗ 1``."""
    parts = []
    for bucket in _ORDER:
        index = BUCKETS.index(bucket)
        if numbers[index]:
            kind = BUCKET_KINDS[index]
            word = f" {bucket.replace('_', ' ')}" if words else ""
            parts.append(
                look.paint(f"{look.symbols.of(kind)} {numbers[index]}{word}", STYLES[kind])
            )
    return "  ".join(parts)


def ended(numbers: Sequence[int]) -> int:
    """Return how many of the task runs are over."""
    return sum(numbers[BUCKETS.index(bucket)] for bucket in ENDED)


def wrong(numbers: Sequence[int]) -> int:
    """Return how many of the task runs failed or crashed."""
    return numbers[BUCKETS.index("failed")] + numbers[BUCKETS.index("crashed")]


def bar(numbers: Sequence[int], cells: int, look: Look) -> str:
    """Return a progress bar over the task runs known so far; red once one went wrong."""
    total = sum(numbers)
    filled = cells * ended(numbers) // total if total else 0
    done = look.paint(look.symbols.done * filled, "red" if wrong(numbers) else "green")
    return done + look.paint(look.symbols.rest * (cells - filled), "grey")
