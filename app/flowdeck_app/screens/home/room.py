"""How Home shares its lines between flows, preview and runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Lines of a pane besides its rows: frame and heading.
_FRAME: Final = 3
#: What the lower panes need for the health of the record, and the list of flows at the least.
_HEALTH: Final = 14
_FLOWS: Final = 8
#: Fewer lines say too little of a flow, more have nothing to show.
_LEAST_PREVIEW: Final = 5
_MOST_PREVIEW: Final = 16


@dataclass(frozen=True, slots=True)
class Room:
    """Lines of the list of flows and of the preview, frames included (0: no preview); what is left
    is for the runs."""

    flows: int
    preview: int


def share(lines: int, flows: int, runs: int, *, low: bool) -> Room:
    """Share ``lines`` so that lists are as high as their rows, and the preview has the free room.

    It depends on how many rows there are and not on which the cursor is on, so nothing moves with it.

    Args:
        lines: of the screen, without its first and last.
        flows: rows of the list of flows.
        runs: rows of the list of runs.
        low: the lists are shown one at a time; flows and preview share all there is.
    """
    wanted = flows + _FRAME
    if not flows:
        return Room(lines if low else lines * 5 // 11, 0)
    if low:
        preview = lines - wanted
        return Room(wanted, preview) if preview >= _LEAST_PREVIEW else Room(lines, 0)
    lower = max(runs + _FRAME, _HEALTH)
    most = max(_FLOWS, lines * 5 // 11, lines - lower)
    own = min(wanted, most)
    preview = min(lines - own - min(lower, max(_HEALTH, lines * 9 // 20)), _MOST_PREVIEW)
    return Room(own, preview if preview >= _LEAST_PREVIEW else 0)
