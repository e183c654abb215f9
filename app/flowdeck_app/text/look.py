"""How text is to look: width, colour, glyphs, and what time it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from flowdeck_app.glyphs import Symbols, symbols

Style: TypeAlias = Literal[
    "",
    "bold",
    "dim",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "orange",
    "grey",
    "title",
]

#: The sixteen-colour codes (and orange of the 256), which every theme of a terminal defines.
_CODES: Final[dict[str, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "orange": "38;5;208",
    "grey": "90",
    "title": "1;4",
}


@dataclass(frozen=True, slots=True)
class Look:
    """What the place that text goes to can show."""

    now_us: int  # microseconds since the epoch
    width: int | None = None  # in cells; None: unlimited (a pipe)
    color: bool = False
    ascii: bool = False

    def paint(self, text: str, style: Style) -> str:
        """Return ``text`` in a colour, or as it is where there are none."""
        if not self.color or not style or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def plain(self) -> Look:
        """Return the same without colours (for text that is measured or coloured later)."""
        return replace(self, color=False)

    @property
    def symbols(self) -> Symbols:
        """The drawn signs other than states."""
        return symbols(self.ascii)

    @property
    def dash(self) -> str:
        """What stands where there is nothing to show."""
        return self.symbols.dash

    @property
    def ellipsis(self) -> str:
        """What stands for text that was cut."""
        return self.symbols.ellipsis
