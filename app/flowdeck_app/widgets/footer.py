"""The last line of every screen: the keys that matter here, from the action registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.actions import REGISTRY, display_key
from flowdeck_app.views.text import width
from flowdeck_app.widgets.strip_widget import Piece, StripWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual.binding import ActiveBinding
    from textual.screen import Screen

    from flowdeck_app.views.look import Look

#: Actions from this rank on stand at the right edge.
RIGHT: Final = 80
#: The one that never goes.
KEPT: Final = "app.help"
GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of the footer."""

    action_id: str
    key: str  # Textual's name
    shown: str
    label: str
    rank: int
    enabled: bool = True

    def cells(self, labelled: bool) -> int:
        """Return the cells it takes."""
        return width(self.shown) + (1 + width(self.label) if labelled and self.label else 0)


def entries(active: dict[str, ActiveBinding], ascii_only: bool = False) -> list[Entry]:
    """Return the footer's entries, one an action, by rank."""
    found: dict[str, Entry] = {}
    for key, (_, binding, enabled, _) in active.items():
        if binding.id is None or not binding.show or binding.id in found:
            continue
        rank = REGISTRY[binding.id].rank if binding.id in REGISTRY else 60
        if rank is not None:
            found[binding.id] = Entry(
                binding.id, key, display_key(key, ascii_only), binding.description, rank, enabled
            )
    return sorted(found.values(), key=lambda entry: entry.rank)


def arrange(found: Sequence[Entry], cells: int) -> list[tuple[Entry, bool]]:
    """Choose what fits: labels go first, from the least important on, then keys.

    Returns:
        The entries to show, each with whether its label is shown.
    """
    shown = {entry.action_id: True for entry in found}
    by_need = [entry for entry in reversed(found) if entry.action_id != KEPT]

    def needed() -> int:
        kept = [entry for entry in found if entry.action_id in shown]
        return sum(entry.cells(shown[entry.action_id]) + GAP for entry in kept)

    for entry in by_need:
        if needed() <= cells:
            break
        shown[entry.action_id] = False
    for entry in by_need:
        if needed() <= cells:
            break
        del shown[entry.action_id]
    return [(entry, shown[entry.action_id]) for entry in found if entry.action_id in shown]


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
        left = [item for item in chosen if item[0].rank < RIGHT]
        right = [item for item in chosen if item[0].rank >= RIGHT]
        taken = sum(entry.cells(labelled) + GAP for entry, labelled in (*left, *right)) - GAP
        return [[*_pieces(left), Piece(" " * max(0, cells - taken)), *_pieces(right, last=True)]]

    def picked(self, key: Hashable) -> None:
        """Press the key."""
        self.app.simulate_key(str(key))


def _pieces(items: Sequence[tuple[Entry, bool]], *, last: bool = False) -> list[Piece]:
    pieces: list[Piece] = []
    for place, (entry, labelled) in enumerate(items):
        key_style = "bold $fd-accent" if entry.enabled else "$fd-faint"
        pieces.append(Piece(entry.shown, key_style, entry.key))
        if labelled and entry.label:
            style = "$fd-muted" if entry.enabled else "$fd-faint"
            pieces.append(Piece(f" {entry.label}", style, entry.key))
        if not (last and place == len(items) - 1):
            pieces.append(Piece(" " * GAP))
    return pieces
