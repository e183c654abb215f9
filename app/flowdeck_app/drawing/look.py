"""How everything is to look: what time it is, signs, zone, width, colours.

One :class:`Look` is handed to whatever draws. The command line makes it of the stream that it
writes to, the app of its settings; nothing that draws reads a clock or knows a terminal.

A style is a name. States have the names of the app's theme variables (``$fd-failed``), so each
state's colour is said once, in :mod:`~flowdeck_app.drawing.signs`: Textual looks the name up in
the theme, :meth:`Look.paint` in :data:`CODES`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.signs import UNICODE, Symbols
from flowdeck_app.drawing.times import TimeMode, duration, seconds_of
from flowdeck_store.safe import several

if TYPE_CHECKING:
    from datetime import tzinfo

    from flowdeck_app.drawing.times import Timed

#: What styles are on a terminal: the sixteen colours (and orange of the 256), which every
#: terminal's own theme defines.
CODES: Final[dict[str, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
    "grey": "90",
    "title": "1;4",
    "$fd-muted": "",  # what a terminal writes with by itself
    "$fd-faint": "2",
    "$fd-waiting": "90",
    "$fd-running": "34",
    "$fd-retrying": "33",
    "$fd-completed": "32",
    "$fd-cached": "36",
    "$fd-failed": "31",
    "$fd-crashed": "38;5;208",
    "$fd-cancelled": "35",
}
#: What :meth:`Look.paint` writes, and nothing else.
_PAINT: Final = re.compile(
    "(\x1b\\[(?:0|" + "|".join(re.escape(code) for code in CODES.values() if code) + ")m)"
)


@dataclass(frozen=True, slots=True)
class Look:
    """Everything besides the record that a drawn line depends on.

    Attributes:
        now_us: the time, in microseconds since the epoch.
        symbols: the set of signs.
        zone: time zone of shown times; ``None``: this machine's.
        times: how the app shows points in time.
        width: cells of a line of the command line; ``None``: unlimited (a pipe).
        color: whether :meth:`paint` paints.
    """

    now_us: int
    symbols: Symbols = UNICODE
    zone: tzinfo | None = None
    times: TimeMode = TimeMode.RELATIVE
    width: int | None = None
    color: bool = False

    def at(self, now_us: int) -> Look:
        """Return the same look at another time."""
        return replace(self, now_us=now_us)

    def plain(self) -> Look:
        """Return the same without colours (for text that is measured or coloured later)."""
        return replace(self, color=False)

    def paint(self, text: str, style: str) -> str:
        """Return ``text`` in a style of :data:`CODES`, or as it is where there are no colours."""
        code = CODES[style] if style else ""
        return f"\x1b[{code}m{text}\x1b[0m" if self.color and code and text else text

    def duration_of(self, run: Timed) -> str:
        """Return how long a run took, or has taken so far."""
        return duration(seconds_of(run, self.now_us), self.dash)

    @property
    def dash(self) -> str:
        """What stands where there is nothing to show."""
        return self.symbols.dash

    @property
    def ellipsis(self) -> str:
        """What stands for text that was cut."""
        return self.symbols.ellipsis


def painted(text: str) -> str:
    """Return text that :meth:`Look.paint` painted without any other control sequence."""
    parts = _PAINT.split(text)
    parts[::2] = map(several, parts[::2])
    return "".join(parts)
