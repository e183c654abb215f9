"""The last line of every screen: the keys that matter here, from the action registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.actions import REGISTRY, display_key
from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.pieces import Piece
from flowdeck_app.widgets.strip_widget import StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.binding import ActiveBinding
    from textual.screen import Screen

    from flowdeck_app.drawing.look import Look

#: Actions from this rank on stand at the right edge.
RIGHT: Final = 80
#: Those from this rank on are the same on every screen.
GENERAL: Final = 60
#: One key of what is shown goes before those at the right edge for so many cells of the line.
FOR_FIRST: Final = 20
#: Those that never go: what else there is, and the way out.
KEPT: Final = frozenset({"app.help", "app.quit"})
GAP: Final = 2


@dataclass(frozen=True, slots=True)
class FooterKey:
    """One key of the footer."""

    action_id: str
    key: str  # Textual's name
    shown: str
    label: str
    rank: int
    enabled: bool = True

    @property
    def cells(self) -> int:
        """The cells it takes."""
        return width(self.shown) + (1 + width(self.label) if self.label else 0)


def entries(active: dict[str, ActiveBinding], ascii_only: bool = False) -> list[FooterKey]:
    """Return the footer's entries, one an action, by rank."""
    found: dict[str, FooterKey] = {}
    for key, (_, binding, enabled, _) in active.items():
        if binding.id is None or not binding.show or binding.id in found:
            continue
        rank = REGISTRY[binding.id].rank if binding.id in REGISTRY else 60
        if rank is not None:
            found[binding.id] = FooterKey(
                binding.id, key, display_key(key, ascii_only), binding.description, rank, enabled
            )
    return sorted(found.values(), key=lambda entry: entry.rank)


def arrange(found: Sequence[FooterKey], cells: int) -> list[FooterKey]:
    """Choose what fits, each with its word: a key without one says little.

    Help and quit are always there. Then come the first keys of what is shown, then those at the right edge,
    then the others.

    Args:
        found: by rank.
        cells: of the line.
    """
    left = [entry for entry in found if entry.rank < RIGHT]
    first = [entry for entry in left if entry.rank < GENERAL][: cells // FOR_FIRST]
    right = [entry for entry in found if entry.rank >= RIGHT]
    by_need = [*(entry for entry in right if entry.action_id in KEPT), *first, *right, *left]
    chosen: dict[str, FooterKey] = {}
    room = cells + GAP
    for entry in by_need:
        if entry.action_id not in chosen and (entry.action_id in KEPT or entry.cells + GAP <= room):
            chosen[entry.action_id] = entry
            room -= entry.cells + GAP
    return [entry for entry in found if entry.action_id in chosen]


class KeyFooter(StripWidget):
    """The keys of the focused thing, its screen and the app; a click presses the key."""

    DEFAULT_CSS = """
    KeyFooter { dock: bottom; padding: 0 1; }
    """

    def on_mount(self) -> None:
        """Follow the screen's bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[Any]) -> None:
        self.refresh()

    def rows(self, look: Look, cells: int) -> Sequence[Sequence[Piece]]:
        """Return the one line."""
        found = entries(self.screen.active_bindings, look.symbols.ascii)
        chosen = arrange(found, cells)
        left = [entry for entry in chosen if entry.rank < RIGHT]
        right = [entry for entry in chosen if entry.rank >= RIGHT]
        taken = sum(entry.cells + GAP for entry in chosen) - GAP
        return [[*_pieces(left), Piece(" " * max(0, cells - taken)), *_pieces(right, last=True)]]

    def picked(self, key: Hashable) -> None:
        """Press the key."""
        self.app.simulate_key(str(key))


def _pieces(items: Sequence[FooterKey], *, last: bool = False) -> list[Piece]:
    pieces: list[Piece] = []
    for place, entry in enumerate(items):
        key_style = "bold $fd-accent" if entry.enabled else "$fd-faint"
        pieces.append(Piece(entry.shown, key_style, entry.key))
        if entry.label:
            style = "$fd-muted" if entry.enabled else "$fd-faint"
            pieces.append(Piece(f" {entry.label}", style, entry.key))
        if not (last and place == len(items) - 1):
            pieces.append(Piece(" " * GAP))
    return pieces
