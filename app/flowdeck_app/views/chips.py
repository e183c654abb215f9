"""Counts by state as chips: ``✓ 141  ▸ 8  ✗ 1``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.signs import BUCKET_KINDS, SIGNS
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look

#: Order of the chips: done, going on, waiting, wrong.
ORDER: Final = (
    "completed", "cached", "running", "scheduled", "pending", "failed", "crashed", "cancelled",
    "not_ready",
)  # fmt: skip


def chips(counts: Sequence[int], look: Look, *, chosen: str = "", at: str = "") -> list[Piece]:
    """Return a chip for every bucket that is not empty.

    Args:
        counts: in the order of ``states.BUCKETS``.
        look: for the signs.
        chosen: bucket that is filtered by.
        at: bucket under the keyboard cursor.
    """
    pieces: list[Piece] = []
    for bucket in ORDER:
        place = BUCKETS.index(bucket)
        count = counts[place]
        if not count and bucket != chosen:
            continue
        kind = BUCKET_KINDS[place]
        style = SIGNS[kind].style
        if bucket == chosen:
            style += " reverse"
        if bucket == at:
            style += " underline"
        text = f" {look.symbols.of(kind)} {number(count, look.symbols.group)} "
        pieces += [Piece(text, style, bucket), Piece(" ")]
    return pieces[:-1]
