"""How things are to look: clock, zone, signs and time mode, injected into every view."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck_app.glyphs import UNICODE, Symbols
from flowdeck_app.views.times import TimeMode

if TYPE_CHECKING:
    from datetime import tzinfo


@dataclass(frozen=True, slots=True)
class Look:
    """Everything besides the record that a row depends on."""

    now_us: int
    symbols: Symbols = UNICODE
    zone: tzinfo | None = None
    times: TimeMode = TimeMode.RELATIVE

    def at(self, now_us: int) -> Look:
        """Return the same look at another time."""
        return dataclasses.replace(self, now_us=now_us)
