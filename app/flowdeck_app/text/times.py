"""Times and durations in words."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

SECOND_US = 1_000_000
DAY = 86_400


def duration(seconds: float | None, dash: str = "–") -> str:
    """Return a duration as people say it: ``0.2s``, ``44.1s``, ``2m 04s``, ``1h 12m``, ``3d 4h``."""
    if seconds is None:
        return dash
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


def ago(us: int | None, now_us: int, dash: str = "–") -> str:
    """Return how long ago a time was: ``just now``, ``48s ago``, ``3m ago``, ``2d ago``."""
    if us is None:
        return dash
    seconds = (now_us - us) / SECOND_US
    if seconds < 0:
        return f"in {_rough(-seconds)}"
    return "just now" if seconds < 1 else f"{_rough(seconds)} ago"


def _rough(seconds: float) -> str:
    for size, unit in ((DAY, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def clock(us: int | None, now_us: int, dash: str = "–", zone: tzinfo | None = None) -> str:
    """Return a time of day, with the date in front when it is not today's.

    Args:
        us: the time.
        now_us: what today is.
        dash: what stands for no time.
        zone: the time zone; ``None``: this machine's.
    """
    if us is None:
        return dash
    when, now = _local(us, zone), _local(now_us, zone)
    if when.date() == now.date():
        return when.strftime("%H:%M:%S")
    if when.year == now.year:
        return when.strftime("%b %d %H:%M")
    return when.strftime("%Y-%m-%d")


def clock_ms(us: int, zone: tzinfo | None = None) -> str:
    """Return a time of day with milliseconds, as log lines start."""
    return f"{_local(us, zone):%H:%M:%S}.{us // 1000 % 1000:03d}"


def full(us: int | None, dash: str = "–", zone: tzinfo | None = None) -> str:
    """Return date and time of day with milliseconds and the zone."""
    if us is None:
        return dash
    when = _local(us, zone)
    return f"{when:%Y-%m-%d %H:%M:%S}.{us // 1000 % 1000:03d} {when.tzname()}"


def _local(us: int, zone: tzinfo | None) -> datetime:
    try:
        return datetime.fromtimestamp(us // SECOND_US, UTC).astimezone(zone)
    except (OverflowError, ValueError, OSError):  # an imported record may say anything
        return datetime.fromtimestamp(0, UTC)


def size(count: int | None, dash: str = "–") -> str:
    """Return a number of bytes as people say it: ``512 B``, ``41.2 MB`` (powers of 1000)."""
    if count is None:
        return dash
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
