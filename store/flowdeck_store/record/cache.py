"""Kept results that may be used again, by key."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_store.errors import StoreError
from flowdeck_store.events import CACHE_EXPIRES_US, CACHE_KEY, CACHE_LOCATION, CACHE_US, is_whole

if TYPE_CHECKING:
    from flowdeck_store.events import Event
    from flowdeck_store.record.side_door import SideDoor

_NEWEST: Final = "SELECT key,us,expires_us,location,task FROM cache WHERE key=?"


@dataclass(frozen=True, slots=True)
class CacheHit:
    """A kept result under a cache key."""

    key: str
    us: int
    expires_us: int | None
    location: str  # file name below the home's ``results`` folder
    task: int | None  # packed id of the task run that made it; None while it is not stored yet

    def holds(self, now_us: int) -> bool:
        """Say whether it has not expired."""
        return self.expires_us is None or self.expires_us > now_us


def fresh_hit(event: Event) -> CacheHit:
    """Return what a CACHE event tells, before the store knows it."""
    return CacheHit(
        event[CACHE_KEY], event[CACHE_US], event[CACHE_EXPIRES_US], event[CACHE_LOCATION], None
    )


class CacheView:
    """Looks up keys in the store and in this session's events that are on their way there."""

    def __init__(self, door: SideDoor) -> None:
        self._door = door
        self._fresh: dict[str, Event] = {}
        self._lock = threading.RLock()  # a signal handler may emit while its thread holds it

    def emitted(self, event: Event) -> None:
        """Note a CACHE event that was just emitted."""
        if not is_whole(event):
            return  # the writer will reject it
        with self._lock:
            self._fresh[event[CACHE_KEY]] = event

    def stored(self, event: Event) -> None:
        """Note that a CACHE event is in the store now."""
        with self._lock:
            if self._fresh.get(event[CACHE_KEY]) == event:
                del self._fresh[event[CACHE_KEY]]

    def find(self, key: str, now_us: int) -> CacheHit | None:
        """Return the newest result under ``key`` unless it has expired.

        A store that cannot be read is a cache that has nothing.
        """
        with self._lock:
            event = self._fresh.get(key)
        if event is not None:
            hit = fresh_hit(event)
            return hit if hit.holds(now_us) else None
        try:
            with self._door.reading() as conn:
                rows = conn.execute(_NEWEST, (key,)).fetchall()
        except (StoreError, sqlite3.Error, OSError):
            return None
        hits = [CacheHit(*row) for row in rows]
        return hits[0] if hits and hits[0].holds(now_us) else None

    def abandon(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
