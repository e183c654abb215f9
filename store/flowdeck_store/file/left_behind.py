"""Dead sessions whose end could not be recorded, as of this process's last try.

A record that is full, locked or read-only keeps them "running" for ever: whoever shows runs asks
here, and shows them as dead instead.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreBusy, StoreError
from flowdeck_store.file.trouble import FULL, LOCKED, READ_ONLY, REFUSED, kind_of

if TYPE_CHECKING:
    from pathlib import Path

_WHY: Final = {
    LOCKED: "the record is locked by another program",
    FULL: "the disk is full",
    READ_ONLY: "the record cannot be written",
    REFUSED: "the system refuses to write the record (a quota, a size limit, a failing device)",
}


@dataclass(frozen=True, slots=True)
class DeadSessions:
    """What could not be taken in, and why."""

    sessions: frozenset[str]  # uids
    launches: frozenset[int]  # numbers of runs that died before they reported
    reason: str

    @property
    def message(self) -> str:
        """What their runs say."""
        return f"dead, not taken in yet: {self.reason}"


_left: dict[str, DeadSessions] = {}
_lock = threading.Lock()


def note(home: Path, left: DeadSessions | None) -> None:
    """Keep what the last try left (``None``: nothing)."""
    with _lock:
        if left is None:
            _left.pop(str(home), None)
        elif _left.get(str(home)) != left:
            _left[str(home)] = left


def left_in(home: Path) -> DeadSessions | None:
    """Return what the last try of this process left in a store."""
    return _left.get(str(home)) if _left else None


def reason_of(error: BaseException) -> str:
    """Say in a few words why the record cannot be written."""
    if isinstance(error, StoreBusy):
        return str(error).rstrip(".")
    kind = kind_of(error)
    if isinstance(error, (sqlite3.Error, OSError)) and kind in _WHY:
        detail = error.strerror if isinstance(error, OSError) else None
        return f"{_WHY[kind]} ({detail or error})"
    plain = isinstance(error, (StoreError, sqlite3.Error))
    return str(error).rstrip(".") if plain else repr(error)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
