"""The edges of a graph as characters: in each cell the directions in which lines leave it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from flowdeck_app.views.critical_path import MARK_STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.graph.layers import GraphLayout

_N, _E, _S, _W = 1, 2, 4, 8
_CORNERS: Final = {
    _E | _W: "─", _N | _S: "│", _S | _E: "┌", _S | _W: "┐", _N | _E: "└", _N | _W: "┘",
    _N | _S | _E: "├", _N | _S | _W: "┤", _S | _E | _W: "┬", _N | _E | _W: "┴",
    _N | _E | _S | _W: "┼", _E: "─", _W: "─", _N: "│", _S: "│",
}  # fmt: skip
_CORNERS_ASCII: Final = {
    mask: ("-" if mask & ~(_E | _W) == 0 else "|" if mask & ~(_N | _S) == 0 else "+")
    for mask in range(1, 16)
}


class Plane:
    """The edges of a layout.

    Args:
        laid: where they run.
        steps: edges on the critical path.
        ends: where nodes narrower than their column end, by their right edge's row and column.
        look: for the signs.
    """

    def __init__(
        self,
        laid: GraphLayout,
        steps: AbstractSet[tuple[str, str]],
        ends: dict[tuple[int, int], int],
        look: Look,
    ) -> None:
        self._masks: dict[tuple[int, int], int] = {}
        self._tips: set[tuple[int, int]] = set()
        self._lit: set[tuple[int, int]] = set()
        self._corners = _CORNERS_ASCII if look.symbols.ascii else _CORNERS
        self._tip = look.symbols.arrow[-1]
        for one in laid.stretches:
            lit = one.edge in steps
            begin = ends.get((one.x0, one.y0), one.x0)
            end = one.x1 - (1 if one.arrives else 0)
            self._step(begin, end, one.turn, one.y0, one.y1, lit)
            if one.arrives:
                self._tips.add((end, one.y1))

    def _link(self, x: int, y: int, mask: int, lit: bool) -> None:
        self._masks[x, y] = self._masks.get((x, y), 0) | mask
        if lit:
            self._lit.add((x, y))

    def _across(self, x0: int, x1: int, y: int, lit: bool) -> None:
        for x in range(x0, x1 + 1):
            self._link(x, y, _E | _W, lit)

    def _step(self, x0: int, x1: int, turn: int, y0: int, y1: int, lit: bool) -> None:
        """Draw from ``(x0, y0)`` to ``(x1, y1)``, changing rows in column ``turn``."""
        if y0 == y1:
            self._across(x0, x1, y0, lit)
            return
        self._across(x0, turn - 1, y0, lit)
        self._across(turn + 1, x1, y1, lit)
        down = y1 > y0
        self._link(turn, y0, _W | (_S if down else _N), lit)
        self._link(turn, y1, _E | (_N if down else _S), lit)
        for y in range(min(y0, y1) + 1, max(y0, y1)):
            self._link(turn, y, _N | _S, lit)

    def between(self, x0: int, x1: int, y: int) -> Iterator[tuple[str, str]]:
        """Yield what is drawn from cell ``x0`` up to ``x1`` of a row: texts and their styles."""
        for lit, places in groupby(((x, y) for x in range(x0, x1)), self._lit.__contains__):
            text = "".join(
                self._tip
                if place in self._tips
                else self._corners.get(self._masks.get(place, 0), " ")
                for place in places
            )
            yield text, MARK_STYLE if lit else "$fd-faint"
