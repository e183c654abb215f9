"""Times and durations as users read them. The clock and the time zone are always given."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta, tzinfo

from flowdeck_app.text.times import duration as duration

WEEK_US = 7 * 86_400_000_000


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


def between(start_us: int | None, end_us: int | None, now_us: int) -> float | None:
    """Return the seconds from start to end, or to now while it goes on; ``None`` if not begun."""
    if start_us is None:
        return None
    return max(0, (now_us if end_us is None else end_us) - start_us) / 1e6


def clock(us: int, zone: tzinfo | None = None, *, fraction: int = 0) -> str:
    """Return the time of day: ``10:42:07``, with ``fraction`` digits ``10:42:07.120``."""
    when = local(us, zone)
    text = when.strftime("%H:%M:%S")
    return f"{text}.{when.microsecond:06d}"[: 9 + fraction] if fraction else text


def local(us: int, zone: tzinfo | None = None) -> datetime:
    """Return an aware time in ``zone`` (``None``: the computer's own)."""
    seconds, rest = divmod(us, 1_000_000)
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).astimezone(zone)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)


def ago(us: int, now_us: int) -> str:
    """Return how long ago: ``now``, ``48s ago``, ``12m ago``, ``9h ago``, ``6d ago``."""
    seconds = (now_us - us) // 1_000_000
    if seconds < 0:
        return f"in {_short(-seconds)}"
    return "now" if seconds < 1 else f"{_short(seconds)} ago"


def _short(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


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


def calendar(us: int, now_us: int, zone: tzinfo | None = None) -> str:
    """Return the shortest unmistakable date and time: ``10:38``, ``Thu 18:40``, ``12 Nov 18:40``."""
    when, now = local(us, zone), local(now_us, zone)
    if when.date() == now.date():
        return when.strftime("%H:%M:%S")
    if timedelta(0) < now - when < timedelta(days=6):
        return when.strftime("%a %H:%M")
    if when.year == now.year:
        return f"{when.day} {when.strftime('%b %H:%M')}"
    return when.strftime("%Y-%m-%d")
