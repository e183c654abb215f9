"""Cron expressions as calendar events of systemd.

Every field becomes the list of its values, so there is nothing to understand in two ways. Where day of
the month and day of the week are both given, cron means either and systemd both: then there are two
events, and a timer goes off at each.
"""

from __future__ import annotations

from typing import Final

_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def calendar_events(cron: str) -> list[str]:
    """Return what ``OnCalendar=`` has to say for a cron expression: one event, or two.

    Args:
        cron: five fields, see :func:`flowdeck_app.schedules.cron.cron_of`.
    """
    fields = cron.lower().split()
    minute, hour, day, month, weekday = (
        _values(field, bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)
    )
    times = f"{_list(hour)}:{_list(minute)}:00"
    months = _list(month)
    weekdays = _weekdays(weekday)
    both = not (fields[2].startswith("*") or fields[4].startswith("*"))
    if both:
        return [f"*-{months}-{_list(day)} {times}", f"{weekdays}*-{months}-* {times}"]
    return [f"{weekdays}*-{months}-{_list(day)} {times}"]


def _values(field: str, bounds: tuple[int, int]) -> list[int] | None:
    """Return the values of a field in order; ``None``: all there are."""
    if field == "*":
        return None
    found: set[int] = set()
    for item in field.split(","):
        term, _, step = item.partition("/")
        if term == "*":
            # Sunday is 0 and 7 in cron; what counts steps begins at 0 and ends at 6.
            first, last = bounds if bounds[1] != 7 else (0, 6)
        else:
            start, _, end = term.partition("-")
            first = _number(start)
            last = _number(end) if end else first
        found.update(range(first, last + 1, int(step or 1)))
    return sorted(found)


def _number(word: str) -> int:
    if word.isdigit():
        return int(word)
    return _MONTHS.index(word) + 1 if word in _MONTHS else _DAYS.index(word)


def _list(values: list[int] | None) -> str:
    return "*" if values is None else ",".join(f"{value:02d}" for value in values)


def _weekdays(values: list[int] | None) -> str:
    if values is None:
        return ""
    days = sorted({value % 7 for value in values})
    if len(days) == 7:
        return ""
    return ",".join(_DAYS[day].capitalize() for day in days) + " "
