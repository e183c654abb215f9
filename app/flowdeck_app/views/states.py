"""States as text: glyph, glyph with word, message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.glyphs import SIGNS, Kind, kind_of, word_of

if TYPE_CHECKING:
    from flowdeck_app.views.columns import Cell
    from flowdeck_app.views.look import Look

_BOLD = {Kind.FAILED, Kind.CRASHED}


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


def style_of(kind: Kind) -> str:
    """Return the style of a kind of state; failures are bold too."""
    style = SIGNS[kind].style
    return f"bold {style}" if kind in _BOLD else style
