"""When a schedule is due: cron expressions, and the times that they stand for.

The five fields of cron are the one notation, also for ``--every 10m``: both systemd and cron take
them, so a schedule means the same whichever of the two starts it. Only what every cron understands
is taken (no ``L``, ``#`` or seconds). When summer time begins and ends they differ: systemd leaves out
what falls into the hour that is not there and does not repeat anything in the hour that comes
twice; cron of Debian (and cronsim, which computes for us) starts the first at the next minute there
is, and repeats what comes every so many minutes. Both are told here as they are, or runs would be
called missed that were never to come.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from flowdeck.exceptions import FlowdeckError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

#: Who starts it.
Clockwork = Literal["systemd", "crontab"]

_NAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS: Final = ("minute", "hour", "day of the month", "month", "day of the week")
_WORD: Final = r"(?:\d{1,2}|[A-Za-z]{3})"
_ITEM: Final = re.compile(rf"(?:\*|{_WORD}-{_WORD})(?:/\d{{1,2}})?|{_WORD}")
_ONE: Final = re.compile(r"\b(\w+)-\1(?:/\d+)?(?=[ ,]|$)")
_EVERY: Final = re.compile(r"(\d{1,4}) ?(m|min|h|d|w)")
_MINUTES: Final = {"m": 1, "min": 1, "h": 60, "d": 1440, "w": 7 * 1440}
_DAY: Final = 1440
#: What divides an hour or a day, in minutes.
_EVEN: Final = tuple(n for n in range(1, 60) if 60 % n == 0) + tuple(
    60 * n for n in range(1, 25) if 24 % n == 0
)
_LOCAL: Final = "/etc/localtime"


class BadTime(FlowdeckError):
    """A time that cannot be meant; says in a sentence why."""


def cron_of(text: str) -> str:
    """Return a cron expression in its five fields, checked.

    Args:
        text: such as ``0 6 * * 1-5`` or ``@daily``.

    Raises:
        BadTime: it is none that every cron and systemd understand, or it is never due.
    """
    text = " ".join(text.split())
    fields = _NAMES.get(text.lower(), text).split()
    if len(fields) != len(_FIELDS):
        known = ", ".join(_NAMES)
        raise BadTime(
            f"{text!r} is no cron expression: it has five fields ({', '.join(_FIELDS)}), as in "
            f"'0 6 * * 1-5', or is one of {known}."
        )
    for name, field in zip(_FIELDS, fields, strict=True):
        for item in field.split(","):
            if not _ITEM.fullmatch(item):
                raise BadTime(
                    f"{item!r} is no {name} of cron: numbers, names such as mon or jan, *, ranges "
                    "1-5, steps */2 or 8-18/2, several with commas."
                )
    # A range of one with a step is that one; cronsim reads it as everything from there on.
    cron = _ONE.sub(r"\1", " ".join(fields))
    try:
        next(CronSim(cron, datetime(2026, 1, 1)))
    except CronSimError as error:
        raise BadTime(f"{cron!r} is never due: {str(error).lower()}.") from None
    except StopIteration:
        raise BadTime(f"{cron!r} is never due: there is no such day.") from None
    return cron


def cron_of_every(text: str) -> str:
    """Return the cron expression of an interval: ``10m``, ``2h``, ``1d``, ``1w``.

    Raises:
        BadTime: it does not divide an hour, a day or a week evenly, so that neither cron nor a
            calendar timer can keep it.
    """
    found = _EVERY.fullmatch(text.strip().lower())
    if found is None:
        raise BadTime(f"{text!r} is no interval: 10m, 2h, 1d or 1w, at least 1m.")
    minutes = int(found[1]) * _MINUTES[found[2]]
    if minutes == 7 * _DAY:
        return "0 0 * * 0"
    if minutes == _DAY:
        return "0 0 * * *"
    if minutes not in _EVEN:
        raise BadTime(f"every {text.strip()} cannot be kept by a clock: {_near(minutes)}")
    if minutes == 1:
        return "* * * * *"
    if minutes < 60:
        return f"*/{minutes} * * * *"
    return "0 * * * *" if minutes == 60 else f"0 */{minutes // 60} * * *"


def _near(minutes: int) -> str:
    below = max((n for n in _EVEN if n < minutes), default=1)
    above = min((n for n in _EVEN if n > minutes), default=7 * _DAY)
    near = " or ".join(dict.fromkeys(map(_said, (below, above))))
    return f"take what divides an hour, a day or a week, such as {near}, or --cron."


def _said(minutes: int) -> str:
    size, unit = next((s, u) for u, s in (("w", 7 * _DAY), ("d", _DAY), ("h", 60), ("m", 1))
                      if minutes % s == 0)  # fmt: skip
    return f"{minutes // size}{unit}"


def local_zone() -> tzinfo:
    """Return the time zone of this machine, which its clock work goes by (whatever TZ says)."""
    try:
        with open(_LOCAL, "rb") as file:
            return ZoneInfo.from_file(file, key=None)
    except (OSError, ValueError):
        return UTC


def due_times(
    cron: str, after: datetime, clockwork: Clockwork, zone: tzinfo | None = None
) -> Iterator[datetime]:
    """Yield the times that a schedule is due after a moment, in UTC, without end.

    Args:
        cron: five fields, see :func:`cron_of`.
        after: an aware time.
        clockwork: who starts it.
        zone: time zone; default: that of this machine.
    """
    zone = local_zone() if zone is None else zone
    start = after.astimezone(zone)
    if clockwork == "crontab":
        for time in CronSim(cron, start):
            yield time.astimezone(UTC)
        return
    last = after.astimezone(UTC)
    # A day earlier: nothing may be lost where the hour comes twice.
    for naive in CronSim(cron, start.replace(tzinfo=None) - timedelta(days=1)):
        time = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if time.astimezone(zone).replace(tzinfo=None) == naive and time > last:
            last = time
            yield time
