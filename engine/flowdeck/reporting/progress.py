"""How far a run is, as its own code says it: :func:`progress`.

A loop may say so a million times a second, so most of what is said must cost next to nothing: the
look at the clock, no event. What is recorded is bounded by a bucket of tokens rather than by the
time since the last update: five may come at once (``progress(1, 3, "loading")``, ``progress(2, 3,
"fitting")``, then nothing for an hour), never more than ten within a second. What was held back
last is recorded when the function ends.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from flowdeck.threads import active
from flowdeck.values.redaction import recorded_message
from flowdeck_store import events
from flowdeck_store.events import now_us

if TYPE_CHECKING:
    from flowdeck_store.events import Event

_BURST: Final = 5
_PERIOD_NS: Final = 200_000_000
_LONGEST: Final = 500  # characters of a message
_LARGEST: Final = 1e300


class Pace:
    """What one run says of its progress, and how much of that is recorded."""

    __slots__ = ("_emit", "_full_ns", "_held", "_no", "_source", "_uid")

    def __init__(self, run: Any) -> None:
        self._uid, self._no = run.info.uid, run.no
        self._emit = run.recorder.emit
        self._full_ns = 0  # when the bucket is full again
        self._held: tuple[float, float | None, str | None] | None = None
        self._source: weakref.ref[Any] | None = None

    def claim(self, source: Any) -> bool:
        """Let one loop or bar speak for the run until it is over; ``False``: another one does."""
        owner = None if self._source is None else self._source()
        if owner is None:
            self._source = weakref.ref(source)
            return True
        return owner is source

    def release(self, source: Any) -> None:
        """The loop or bar is over."""
        if self._source is not None and self._source() is source:
            self._source = None
        self.flush()

    def say(self, done: float, total: float | None, message: str | None) -> None:
        """Record it, or hold it back until the end if too much was recorded just now."""
        now = time.monotonic_ns()
        full = max(self._full_ns, now)
        if full - now > (_BURST - 1) * _PERIOD_NS:
            self._held = done, total, message
            return
        self._full_ns = full + _PERIOD_NS
        self._held = None
        self._emit(self._event(done, total, message))

    def flush(self) -> None:
        """Record what was held back."""
        held, self._held = self._held, None
        if held is not None:
            self._emit(self._event(*held))

    def _event(self, done: float, total: float | None, message: str | None) -> Event:
        text = None
        if message is not None:
            text = recorded_message(str(message)[:_LONGEST])
        count, whole = _number(done, "done"), None if total is None else _number(total, "total")
        return events.progress(self._uid, self._no, now_us(), count, whole, text)


#: Of the runs that have said something, by uid of the flow run and number; in this process.
_paces: dict[tuple[str, int], Pace] = {}


def pace_of_current_run() -> Pace | None:
    """Return how the run that executes here tells its progress; ``None`` outside of runs."""
    run = active.current_run()
    if run is None:
        return None
    key = run.info.uid, run.no
    return _paces.get(key) or _paces.setdefault(key, Pace(run))


def ended(uid: str, no: int) -> None:
    """Record what was held back: the function of a run has returned.

    Args:
        uid: of the flow run.
        no: number of the task run; 0: the flow run itself.
    """
    pace = _paces.pop((uid, no), None) if _paces else None
    if pace is not None:
        pace.flush()


def progress(done: float, total: float | None = None, message: str | None = None) -> None:
    """Say how far the task (or flow) is that executes here; outside of runs nothing happens.

    At most ten updates a second are recorded, and the last one always.

    Args:
        done: how much is done, in any unit.
        total: how much there is to do; ``None`` if nobody knows.
        message: what it does now, in a few words.

    Raises:
        TypeError: ``done`` or ``total`` is no number.
        ValueError: one of them is not finite.

    Example:
        >>> progress(3, 10, "files")
    """
    if type(done) is not int:
        done = _number(done, "done")
    if total is not None and type(total) is not int:
        total = _number(total, "total")
    pace = pace_of_current_run()
    if pace is not None:
        pace.say(done, total, message)


def _number(value: Any, name: str) -> float:
    """Return a number of anybody's (numpy's, a Decimal) as one of Python's."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        problem = "is too large" if isinstance(error, OverflowError) else "is no number"
        raise TypeError(f"progress(): {name} {problem}: it is a {type(value).__name__}.") from None
    if not abs(number) < _LARGEST:
        raise ValueError(f"progress(): {name} is {number}, but must be a finite number.")
    return number
