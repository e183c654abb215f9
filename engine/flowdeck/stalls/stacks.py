"""Where threads are: the innermost line of the user's own code."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.values.of_user import is_file_of_user

if TYPE_CHECKING:
    from types import FrameType

#: Files of the standard library in which a thread waits for another one.
_WAITS: Final = frozenset(
    {threading.__file__, os.path.join(os.path.dirname(os.__file__), "queue.py")}
)
#: Levels that are looked at.
_DEEPEST: Final = 500


class Spot(NamedTuple):
    """Where a thread is.

    Attributes:
        place: ``fetch at etl.py:12``.
        is_blocked: it waits for another thread (a lock, an event, a queue).
        mark: the same for as long as it has not moved.
    """

    place: str
    is_blocked: bool
    mark: Any


def spots(threads: set[int]) -> dict[int, Spot]:
    """Return where some threads are, by their numbers; those that are gone are left out."""
    frames = sys._current_frames()
    try:
        return {ident: _spot(frames[ident]) for ident in threads if ident in frames}
    finally:
        del frames  # what they hold lives no longer than it would


def _spot(innermost: FrameType) -> Spot:
    is_blocked = innermost.f_code.co_filename in _WAITS
    frame: FrameType | None = innermost
    for _ in range(_DEEPEST):
        if frame is None:
            break
        code = frame.f_code
        if is_file_of_user(code.co_filename):
            line = frame.f_lineno or code.co_firstlineno
            place = f"{code.co_name} at {os.path.basename(code.co_filename)}:{line}"
            return Spot(place, is_blocked, (id(frame), frame.f_lasti))
        frame = frame.f_back
    code = innermost.f_code
    place = f"{code.co_name} at {os.path.basename(code.co_filename)}:{innermost.f_lineno}"
    return Spot(place, is_blocked, (id(innermost), innermost.f_lasti))
