"""The time that passes, for timers and waits.

Tests of users stop the clock (freezegun and the like put functions of their own into ``time`` and
into every module that has one of its functions). What waits must go on all the same, or it waits for
ever. So it looks at the system's clock itself, by a function that is not replaced: what time it *is*
(:func:`flowdeck_store.events.now_us`) is what the test says, how much of it passes is not.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds since some moment; compare with its own results only.
monotonic: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC)
    if hasattr(time, "clock_gettime")
    else time.perf_counter
)
