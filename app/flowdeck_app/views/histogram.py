"""Runs over time as bars, with a line that marks problems and one with the days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import local
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.summaries import HistogramBucket

#: What is marked under a bar, the worst first.
_MARKED: Final = (
    ("crashed", Kind.CRASHED),
    ("failed", Kind.FAILED),
    ("running", Kind.RUNNING),
)
DAY_US: Final = 86_400_000_000


def bar_row(buckets: Sequence[HistogramBucket], look: Look) -> list[Piece]:
    """Return one cell a bucket: height is the number of runs."""
    top = max((sum(bucket.counts) for bucket in buckets), default=0)
    levels = look.symbols.levels
    cells: list[Piece] = []
    for bucket in buckets:
        count = sum(bucket.counts)
        if not count:
            cells.append(Piece(look.symbols.dot, "$fd-line", bucket.start_us))
            continue
        level = levels[min(len(levels) - 1, int(count / top * (len(levels) - 0.01)))]
        cells.append(Piece(level, "$fd-accent", bucket.start_us))
    return cells


def mark_row(buckets: Sequence[HistogramBucket], look: Look) -> list[Piece]:
    """Return one cell a bucket: the worst thing that happened in it."""
    cells: list[Piece] = []
    for bucket in buckets:
        kind = next((kind for name, kind in _MARKED if bucket.counts[BUCKETS.index(name)]), None)
        if kind is None:
            cells.append(Piece(" "))
        else:
            cells.append(Piece(look.symbols.of(kind), SIGNS[kind].style, bucket.start_us))
    return cells


def label_row(buckets: Sequence[HistogramBucket], look: Look) -> list[Piece]:
    """Return names of days (or hours, where a strip is shorter than two days) under the bars."""
    if len(buckets) < 2:
        return []
    span = buckets[-1].start_us - buckets[0].start_us
    text = [" "] * len(buckets)
    last = ""
    free = 0
    for place, bucket in enumerate(buckets):
        when = local(bucket.start_us, look.zone)
        label = when.strftime("%a") if span >= 2 * DAY_US else when.strftime("%H:00")
        if label != last and place >= free and place + len(label) <= len(text):
            text[place : place + len(label)] = label
            free = place + len(label) + 1
        last = label
    return [Piece("".join(text), "$fd-faint")]
