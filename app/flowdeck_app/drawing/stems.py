"""Where a row of a tree lies, as the lines in front of its name."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.signs import Symbols

#: Levels that are drawn; of what lies deeper the inner ones.
_LEVELS: Final = 6
#: Follows the name of a row that hides what is below it.
CLOSED: Final = " [+]"


class Fold(enum.Enum):
    """Whether there are rows below a row, and whether they are shown."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"


def stem_text(stem: Sequence[bool], signs: Symbols) -> str:
    """Return what stands in front of a row's name, two cells a level.

    Args:
        stem: of each level that the row lies below: whether further rows follow there.
        signs: to draw with.
    """
    if not stem:
        return ""
    *outer, last = stem[-_LEVELS:]
    lines = "".join(signs.branch_line if more else "  " for more in outer)
    return lines + (signs.branch if last else signs.branch_last)
