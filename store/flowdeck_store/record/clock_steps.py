"""Noticing that the machine's clock was set: times before and after cannot be compared."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from flowdeck_store.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds from which on a step is worth a word; what a time service does in small steps is less.
STEP_S: Final = 2.0


# Bound here, as in :mod:`flowdeck_store.clock`: tests of users that stop the clock set no clock.
#: The machine's time of day, in seconds.
wall: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_REALTIME)
    if hasattr(time, "clock_gettime")
    else time.time
)
#: Seconds that go on evenly, also while the machine sleeps where the system says so.
steady: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else monotonic
)


class Clock:
    """Compares the time of day with one that nobody can set."""

    def __init__(
        self, wall: Callable[[], float] = wall, even: Callable[[], float] = steady
    ) -> None:
        self._wall, self._even = wall, even
        self._apart = wall() - even()

    def step(self) -> float:
        """Return by how many seconds the clock was set since the last call; 0: it was not."""
        apart = self._wall() - self._even()
        moved = apart - self._apart
        if abs(moved) < STEP_S:
            return 0.0
        self._apart = apart
        return moved


def sentence(seconds: float) -> str:
    """Say it, for the log of a run."""
    way = "forward" if seconds > 0 else "back"
    return (
        f"The clock of this machine was set {way} by {abs(seconds):,.0f} s just now: times before "
        "and after this line cannot be compared, and durations across it are wrong."
    )
