"""Counts by state as chips: ``✓ 141  ▸ 8  ✗ 1``. A click (or enter) on one filters by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Unpack

from textual.message import Message
from textual.reactive import reactive

from flowdeck_app.actions import bindings
from flowdeck_app.views.chips import ORDER, chips
from flowdeck_app.widgets.strip_widget import StripWidget
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.binding import BindingType

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.pieces import Piece
    from flowdeck_app.widgets.guard import Names


class StateChips(StripWidget, can_focus=True):
    """The counts of a run's task runs (or of runs) as filter chips.

    Attributes:
        counts: in the order of ``states.BUCKETS``.
        chosen: bucket that is filtered by, ``""`` without a filter.
    """

    DEFAULT_CSS = """
    StateChips { padding: 0 1; }
    StateChips:focus { background: $fd-cursor-blurred; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("move.left", "move.right", "go.open", hide=("go.open",))
    ]
    counts: reactive[tuple[int, ...]] = reactive((0,) * len(BUCKETS))
    chosen: reactive[str] = reactive("")
    at: reactive[str] = reactive("")

    class Chosen(Message):
        """A chip was chosen; ``bucket`` is ``""`` when it was taken back."""

        def __init__(self, bucket: str) -> None:
            super().__init__()
            self.bucket = bucket

    def __init__(self, **names: Unpack[Names]) -> None:
        super().__init__(**names)

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        return [chips(self.counts, look, chosen=self.chosen, at=self.at if self.has_focus else "")]

    def picked(self, key: Hashable) -> None:
        """Choose a chip, or take the choice back."""
        self.chosen = "" if key == self.chosen else str(key)
        self.post_message(self.Chosen(self.chosen))

    def _shown(self) -> list[str]:
        return [name for name in ORDER if self.counts[BUCKETS.index(name)] or name == self.chosen]

    def _step(self, step: int) -> None:
        shown = self._shown()
        if shown:
            place = shown.index(self.at) + step if self.at in shown else 0
            self.at = shown[max(0, min(place, len(shown) - 1))]

    def action_move_left(self) -> None:
        """Go to the chip on the left."""
        self._step(-1)

    def action_move_right(self) -> None:
        """Go to the chip on the right."""
        self._step(1)

    def action_go_open(self) -> None:
        """Choose the chip under the cursor."""
        if self.at in self._shown():
            self.picked(self.at)
