"""Times of the record: integer microseconds since the epoch, shown as aware UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def at(us: int | None) -> datetime | None:
    """Turn integer microseconds since the epoch into an aware UTC time (``None`` stays)."""
    if us is None:
        return None
    seconds, rest = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def iso(us: int | None) -> str | None:
    """Turn integer microseconds since the epoch into ISO 8601 UTC with microseconds."""
    when = at(us)
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
