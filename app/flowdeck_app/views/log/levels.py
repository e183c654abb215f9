"""How many log lines of which level there were when, as one or two lines of bars.

What is counted is added part by part (:class:`LevelBins`); drawing looks at the sums alone, however
many lines there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.amounts import number, thousands
from flowdeck_app.drawing.cells import fit
from flowdeck_app.drawing.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowdeck_app.drawing.look import Look

#: Stretches of time that are kept apart; then each is made twice as long.
MOST_BINS: Final = 2_048
#: Length of a stretch at first, in microseconds.
_SHORTEST: Final = 1_000
#: Cells of the texts before the bars, where there is room for them.
LABEL: Final = 16
_WITH_LABEL: Final = 70
_STYLES: Final = ("$fd-muted", "$fd-retrying", "$fd-failed")


@dataclass(slots=True)
class LevelBin:
    """The lines of a stretch of time: how many of each rank, the first one's number, and how long it
    is, compared to the shortest."""

    counts: list[int]
    first_seq: int
    length: int = 1


class LevelBins:
    """Counts of lines by rank of level (0: below warnings, 1: warnings, 2: errors) and time.

    Args:
        zero_us: when the first stretch begins.
        span_us: how long the lines took so far, as far as that is known.

    Attributes:
        width_us: how long a stretch is; it grows with the time that the lines take.
        reached: number of the last line that is counted.
    """

    def __init__(self, zero_us: int, span_us: int = 0) -> None:
        self.zero_us, self.reached = zero_us, 0
        self.width_us = max(_SHORTEST, 2 * span_us // MOST_BINS)
        self._bins: dict[int, LevelBin] = {}

    @property
    def totals(self) -> tuple[int, int, int]:
        """How many lines there are of each rank."""
        sums = [sum(found.counts[rank] for found in self._bins.values()) for rank in range(3)]
        return sums[0], sums[1], sums[2]

    def add(self, counts: Iterable[tuple[int, int, int, int]], reached: int) -> None:
        """Add what was counted with the present :attr:`width_us`.

        Args:
            counts: stretch, rank, number of lines and the first one's number.
            reached: number of the last line that is counted.
        """
        for place, rank, count, seq in counts:
            found = self._bins.setdefault(place, LevelBin([0, 0, 0], seq))
            found.counts[rank] += count
            found.first_seq = min(found.first_seq, seq)
        self.reached = reached
        while len(self._bins) > MOST_BINS:
            self._widen()

    def _widen(self) -> None:
        wider: dict[int, LevelBin] = {}
        for place, found in self._bins.items():
            into = wider.setdefault(place // 2, LevelBin([0, 0, 0], found.first_seq))
            into.counts = [a + b for a, b in zip(into.counts, found.counts, strict=True)]
            into.first_seq = min(into.first_seq, found.first_seq)
        self._bins, self.width_us = wider, self.width_us * 2

    def columns(self, cells: int) -> list[LevelBin]:
        """Return the counts of so many equal stretches, from the first line to the last."""
        found = [LevelBin([0, 0, 0], 0, 0) for _ in range(cells)]
        if not self._bins:
            return found
        first, last = min(self._bins), max(self._bins)
        span = last - first + 1
        for place in range(span):  # some are longer by one: that is no reason for higher bars
            found[place * cells // span].length += 1
        for place in sorted(self._bins):
            of_time = self._bins[place]
            into = found[(place - first) * cells // span]
            into.counts = [a + b for a, b in zip(into.counts, of_time.counts, strict=True)]
            into.first_seq = into.first_seq or of_time.first_seq
        return found

    def cell_of(self, us: int, cells: int) -> int | None:
        """Return in which of so many stretches a time lies; ``None`` for one outside of all."""
        if not self._bins:
            return None
        first, last = min(self._bins), max(self._bins)
        place = max(0, us - self.zero_us) // self.width_us
        return (place - first) * cells // (last - first + 1) if first <= place <= last else None


def level_rows(
    bins: LevelBins, look: Look, cells: int, *, low: bool, at_us: int | None = None
) -> list[list[Piece]]:
    """Return the bars: all lines, and above them warnings and errors; a click on a bar gives the
    number of its first line.

    Args:
        bins: what was counted.
        look: for the signs.
        cells: of a line.
        low: one line for both, with the colour of the worst.
        at_us: the time of the line under the cursor, which is marked.
    """
    label = LABEL if cells >= _WITH_LABEL else 0
    room = max(1, cells - label)
    columns, at = bins.columns(room), None if at_us is None else bins.cell_of(at_us, room)
    _, warnings, errors = totals = bins.totals
    gap = look.symbols.group
    every = _row([sum(column.counts) for column in columns], columns, look, at, colour=low)
    head = [Piece(fit(f"{number(sum(totals), gap)} lines", label), "$fd-faint")] if label else []
    if low:
        return [[*head, *every]]
    wrong = _row([sum(column.counts[1:]) for column in columns], columns, look, at, colour=True)
    style = _STYLES[2] if errors else _STYLES[1] if warnings else "$fd-faint"
    said = [Piece(fit(_wrong(warnings, errors), label), style)] if label else []
    return [[*said, *wrong], [*head, *every]]


def _wrong(warnings: int, errors: int) -> str:
    """Say how many lines are worth a look, in 15 cells: ``3 err, 12 warn``."""
    parts = [f"{thousands(errors)} err"] * (errors > 0)
    parts += [f"{thousands(warnings)} warn"] * (warnings > 0)
    return ", ".join(parts) or "no warnings"


def _row(
    heights: Sequence[int], columns: Sequence[LevelBin], look: Look, at: int | None, *, colour: bool
) -> list[Piece]:
    """Return one cell a stretch of time, as high as there are lines in it."""
    rates = [height / max(1, of.length) for height, of in zip(heights, columns, strict=True)]
    top, levels = max(rates, default=0.0), look.symbols.levels[:-1]  # full blocks would fuse
    cells = []
    for place, (rate, column) in enumerate(zip(rates, columns, strict=True)):
        mark = " on $fd-cursor" if place == at else ""
        if not rate:
            cells.append(Piece(" ", mark.strip()))
            continue
        level = levels[min(len(levels) - 1, int(rate / top * (len(levels) - 0.01)))]
        worst = max(rank for rank in range(3) if column.counts[rank])
        style = _STYLES[worst] if colour and worst else "$fd-accent"
        cells.append(Piece(level, style + mark, column.first_seq))
    return cells
