"""Times and durations as users read them. The clock and the time zone are always given."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol

SECOND_US: Final = 1_000_000
DAY: Final = 86_400  # seconds
WEEK_US: Final = 7 * DAY * SECOND_US
#: Seconds by which the clocks of two machines, or of two looks, may differ.
CLOCKS_DIFFER: Final = 2.0
_UNITS: Final = ((DAY, "d"), (3600, "h"), (60, "m"), (1, "s"))


class TimeMode(enum.Enum):
    """How a point in time is shown (the key ``T``)."""

    RELATIVE = "relative"
    ABSOLUTE = "absolute"
    OFF = "off"

    @property
    def following(self) -> TimeMode:
        """The mode that ``T`` changes to."""
        modes = list(TimeMode)
        return modes[(modes.index(self) + 1) % len(modes)]


class Timed(Protocol):
    """What has begun and ended, or not yet: runs, task runs, attempts."""

    @property
    def started_us(self) -> int | None: ...
    @property
    def ended_us(self) -> int | None: ...


def seconds_of(run: Timed, now_us: int) -> float | None:
    """Return how long a run took, or has taken so far; ``None`` if it has not begun."""
    return between(run.started_us, run.ended_us, now_us)


def between(start_us: int | None, end_us: int | None, now_us: int) -> float | None:
    """Return the seconds from start to end, or to now while it goes on; ``None`` if not begun.

    Less than zero only where a clock was set back meanwhile: :func:`duration` says so.

    Args:
        start_us: microseconds since the epoch, as all times here.
        end_us: ``None``: it goes on.
        now_us: the time.
    """
    if start_us is None:
        return None
    gone = ((now_us if end_us is None else end_us) - start_us) / SECOND_US
    return gone if gone < -CLOCKS_DIFFER else max(0.0, gone)


def duration(seconds: float | None, dash: str = "–") -> str:
    """Return a duration as people say it: ``0.2s``, ``44.1s``, ``2m 04s``, ``1h 12m``, ``3d 4h``."""
    if seconds is None:
        return dash
    if seconds < -CLOCKS_DIFFER:
        return "clock?"  # it was set back meanwhile: how long it took is not known
    seconds = max(0.0, seconds)
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < DAY:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // DAY}d {whole % DAY // 3600}h"


def local(us: int, zone: tzinfo | None = None) -> datetime:
    """Return an aware time in ``zone`` (``None``: the computer's own)."""
    seconds, rest = divmod(us, SECOND_US)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).astimezone(zone)
    except (OverflowError, ValueError, OSError):  # an imported record may say anything
        return datetime.fromtimestamp(0, UTC)


def clock(us: int, zone: tzinfo | None = None, *, fraction: int = 0) -> str:
    """Return the time of day: ``10:42:07``, with ``fraction`` digits ``10:42:07.120``."""
    when = local(us, zone)
    text = when.strftime("%H:%M:%S")
    return f"{text}.{when.microsecond:06d}"[: 9 + fraction] if fraction else text


def calendar(us: int | None, now_us: int, zone: tzinfo | None = None, *, dash: str = "–") -> str:
    """Return the shortest unmistakable date and time.

    ``10:38:05`` today, ``Thu 18:40`` in the last days, ``12 Nov 18:40`` this year, ``2025-11-12``.

    Args:
        us: the time.
        now_us: what today is.
        zone: the time zone; ``None``: this machine's.
        dash: what stands for no time.
    """
    if us is None:
        return dash
    when, now = local(us, zone), local(now_us, zone)
    if when.date() == now.date():
        return when.strftime("%H:%M:%S")
    if timedelta(0) < now - when < timedelta(days=6):
        return when.strftime("%a %H:%M")
    if when.year == now.year:
        return f"{when.day} {when.strftime('%b %H:%M')}"
    return when.strftime("%Y-%m-%d")


def by_the_clock(us: int, now_us: int, zone: tzinfo | None = None, cells: int = 15) -> str:
    """Return when something was, by the calendar and the clock, in so many cells.

    ``today 14:03``, ``yesterday 18:40``, ``9 Nov 18:40``, ``9 Nov 2025``; where there is less room
    ``14:03``, ``yesterday``, ``9 Nov``, ``Nov 2025``.

    Args:
        us: the time.
        now_us: what today is.
        zone: the time zone; ``None``: this machine's.
        cells: that there are.
    """
    when, now = local(us, zone), local(now_us, zone)
    time_of_day = when.strftime("%H:%M")
    day = f"{when.day} {when:%b}"
    if when.date() == now.date():
        long, short = f"today {time_of_day}", time_of_day
    elif when.date() == now.date() - timedelta(days=1):
        long, short = f"yesterday {time_of_day}", "yesterday"
    elif when.year == now.year:
        long, short = f"{day} {time_of_day}", day
    else:
        long, short = f"{day} {when.year}", when.strftime("%b %Y")
    return long if len(long) <= cells else short


def full(us: int | None, dash: str = "–", zone: tzinfo | None = None) -> str:
    """Return date and time of day with milliseconds and the zone."""
    if us is None:
        return dash
    when = local(us, zone)
    return f"{when:%Y-%m-%d} {clock(us, zone, fraction=3)} {when.tzname()}"


def ago(us: int, now_us: int) -> str:
    """Return how long ago: ``now``, ``48s ago``, ``12m ago``, ``9h ago``, ``6d ago``."""
    seconds = (now_us - us) // SECOND_US
    if seconds < 0:
        return f"in {_rough(-seconds)}"
    return "now" if seconds < 1 else f"{_rough(seconds)} ago"


def _rough(seconds: int) -> str:
    return next(f"{seconds // size}{unit}" for size, unit in _UNITS if seconds >= size)


def moment(
    us: int | None, now_us: int, mode: TimeMode = TimeMode.RELATIVE, zone: tzinfo | None = None
) -> str:
    """Return a point in time in the chosen mode; relative only for the last seven days."""
    if us is None:
        return "–"
    if mode is TimeMode.OFF:
        return ""
    if mode is TimeMode.RELATIVE and abs(now_us - us) < WEEK_US:
        return ago(us, now_us)
    return calendar(us, now_us, zone)
