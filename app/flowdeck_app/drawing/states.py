"""A state, and the task runs of a run by state, in the words of the app and of the command line.

Both have the same sign and colour for a state. The app says it as people do (``timed out``). The
command line says the name that flows, ``--json`` and filters use (``TimedOut``), so that what is
read there can be typed.

A state is given as the record has it: its code (:mod:`flowdeck_store.states`), and its name where
that is not the code's own. Counts are per bucket (``states.BUCKETS``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.signs import BUCKET_KINDS, SIGNS, Kind, kind_of, word_of
from flowdeck_store.read.records import state_name
from flowdeck_store.safe import one_line
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.cells import Cell
    from flowdeck_app.drawing.look import Look

_BOLD: Final = {Kind.FAILED, Kind.CRASHED}
#: In which order counts are read: what is done, goes on, waits, went wrong.
_ORDER: Final = tuple(
    (BUCKETS.index(bucket), bucket.replace("_", " "))
    for bucket in (
        "completed", "cached", "running", "scheduled", "pending", "failed", "crashed", "cancelled",
        "not_ready",
    )
)  # fmt: skip
#: Places of the task runs that are over, and of those that went wrong.
_ENDED: Final = tuple(
    BUCKETS.index(bucket)
    for bucket in ("completed", "cached", "failed", "crashed", "cancelled", "not_ready")
)
_WRONG: Final = (BUCKETS.index("failed"), BUCKETS.index("crashed"))


def style_of(kind: Kind) -> str:
    """Return the app's style of a kind of state; failures are bold too."""
    style = SIGNS[kind].style
    return f"bold {style}" if kind in _BOLD else style


def glyph_cell(code: int, named: str | None, look: Look) -> Cell:
    """Return the one-cell glyph of a state."""
    kind = kind_of(code, named)
    return look.symbols.of(kind), style_of(kind)


def word_cell(code: int, named: str | None) -> Cell:
    """Return the word of a state."""
    return word_of(code, named), style_of(kind_of(code, named))


def state_cell(code: int, named: str | None, look: Look) -> Cell:
    """Return glyph and word of a state: ``✓ completed``."""
    kind = kind_of(code, named)
    return f"{look.symbols.of(kind)} {word_of(code, named)}", style_of(kind)


def name_cell(code: int, named: str | None, look: Look) -> Cell:
    """Return glyph and name of a state: ``✓ Completed``."""
    kind = kind_of(code, named)
    return f"{look.symbols.of(kind)} {one_line(state_name(code, named), 40)}", SIGNS[kind].style


def painted_glyph(code: int, named: str | None, look: Look) -> str:
    """Return the one-cell glyph of a state, painted."""
    kind = kind_of(code, named)
    return look.paint(look.symbols.of(kind), SIGNS[kind].style)


def painted_name(code: int, named: str | None, look: Look) -> str:
    """Return glyph and name of a state, painted: ``✓ Completed``."""
    return look.paint(*name_cell(code, named, look))


def painted_counts(counts: Sequence[int], look: Look, *, words: bool = False) -> str:
    """Return the task runs of a run per state, without the zeros: ``✓ 141  ▸ 8  ✗ 1``."""
    parts = []
    for place, word in _ORDER:
        if counts[place]:
            kind = BUCKET_KINDS[place]
            text = f"{look.symbols.of(kind)} {counts[place]}{f' {word}' if words else ''}"
            parts.append(look.paint(text, SIGNS[kind].style))
    return "  ".join(parts)


def painted_bar(counts: Sequence[int], cells: int, look: Look) -> str:
    """Return a progress bar over the task runs known so far; red once one went wrong."""
    total = sum(counts)
    filled = cells * ended_tasks(counts) // total if total else 0
    done = look.paint(look.symbols.done * filled, "red" if wrong_tasks(counts) else "green")
    return done + look.paint(look.symbols.rest * (cells - filled), "grey")


def ended_tasks(counts: Sequence[int]) -> int:
    """Return how many of a run's task runs are over."""
    return sum(counts[place] for place in _ENDED)


def wrong_tasks(counts: Sequence[int]) -> int:
    """Return how many of a run's task runs failed or crashed."""
    return sum(counts[place] for place in _WRONG)
