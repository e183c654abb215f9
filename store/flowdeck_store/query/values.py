"""Values of the filter language: durations, times, numbers, log levels, words for states.

Pure functions from text to numbers. Each raises :class:`ValueError` with half a sentence that says
what is expected; :mod:`flowdeck_store.query.language` adds the field and the place.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from flowdeck_store.times import at

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNITS: Final[dict[str, int]] = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|min|m|h|d|w)?", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kmgt])?b?", re.ASCII)
_COMPARE: Final = re.compile(r"(>=|<=|>|<|=)?(.*)", re.DOTALL)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MAX_US: Final = 2**62  # SQLite's integers end at 2**63

LEVELS: Final[dict[str, int]] = {
    "notset": 0,
    "debug": 10,
    "info": 20,
    "warn": 30,
    "warning": 30,
    "error": 40,
    "critical": 50,
    "fatal": 50,
}


def near(word: str, known: Iterable[str]) -> str:
    """Return ``": did you mean 'x'?"`` for the nearest known word, or an empty string."""
    found = difflib.get_close_matches(word.casefold()[:40], list(known), n=1, cutoff=0.6)
    return f": did you mean '{found[0]}'?" if found else ""


def shown(text: str) -> str:
    """Return text as it may stand in a message: quoted, without control characters, short."""
    short = text if len(text) <= 40 else text[:39] + "…"
    return "'" + "".join(c if c.isprintable() else "�" for c in short) + "'"


def duration_us(text: str) -> int:
    """Turn ``5s``, ``1.5h``, ``1m30s``, ``250ms`` or plain seconds into microseconds."""
    position, total = 0, 0.0
    while position < len(text):
        match = _DURATION.match(text, position)
        if match is None or (match[2] is None and (position or match.end() < len(text))):
            raise ValueError(f"{shown(text)} is no duration such as 5s, 1m30s, 2h or 7d")
        total += float(match[1]) * _UNITS[match[2] or "s"]
        position = match.end()
    if not text:
        raise ValueError("a duration such as 5s, 1m30s, 2h or 7d is missing")
    if total > _MAX_US:
        raise ValueError(f"{shown(text)} is too long a duration")
    return round(total)


def size_bytes(text: str) -> int:
    """Turn ``500MB``, ``1.5G``, ``20kB`` or plain bytes into bytes (a kB has 1000)."""
    match = _SIZE.fullmatch(text.casefold())
    if match is None:
        raise ValueError(f"{shown(text)} is no size such as 500MB, 1.5GB or 20kB")
    return round(float(match[1]) * 1000.0 ** " kmgt".index(match[2] or " "))


def compared(text: str) -> tuple[str, str]:
    """Split ``>=5s`` into the operator (``""`` if there is none) and the rest."""
    match = _COMPARE.match(text)
    assert match is not None  # the pattern fits any text
    return match[1] or "", match[2]


def _local(when: datetime) -> datetime:
    """Give a naive time the local zone (aware times stay)."""
    return when if when.tzinfo is not None else when.astimezone()


def _micros(when: datetime) -> int:
    delta = _local(when).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return delta // timedelta(microseconds=1)


def time_us(text: str, now_us: int, *, end: bool = False) -> int:
    """Turn a time of the filter language into microseconds since the epoch.

    Args:
        text: ``7d`` (ago), ``now``, ``today``, ``yesterday``, ``2026-11-22``,
            ``2026-11-22T10:30`` with or without seconds and zone (without: local time).
        now_us: the time that relative values count from.
        end: for a whole day, return the end of the day instead of its start.

    Raises:
        ValueError: it is none of these.
    """
    word = text.casefold()
    if word == "now":
        return now_us
    try:
        return _absolute(word, text, now_us, end=end)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return max(now_us - duration_us(text), -_MAX_US)
    except ValueError:
        raise ValueError(
            f"{shown(text)} is no time such as 7d, 2h, today, 2026-11-22 or 2026-11-22T10:30"
        ) from None


def _absolute(word: str, text: str, now_us: int, *, end: bool) -> int:
    days = {"today": 0, "yesterday": 1}.get(word)
    if days is not None:
        now = at(now_us)
        assert now is not None
        day = datetime.combine(now.astimezone().date() - timedelta(days=days), datetime.min.time())
    elif _DATE.fullmatch(text):
        day = datetime.fromisoformat(text)
    elif _DATE.match(text):
        return _micros(datetime.fromisoformat(text))
    else:
        raise ValueError(text)
    return _micros(day + timedelta(days=1) if end else day)


def is_relative_time(text: str) -> bool:
    """Say whether the value of ``since:``/``until:`` moves with the clock."""
    return _DATE.match(text) is None


def level_number(text: str) -> tuple[int, bool]:
    """Return the number of a log level and whether it was given by name."""
    if text.isascii() and text.isdigit() and len(text) <= 4:
        return int(text), False
    number = LEVELS.get(text.casefold())
    if number is None:
        hint = near(text, LEVELS) or " such as debug, info, warning, error, critical or a number"
        raise ValueError(f"{shown(text)} is no log level{hint}")
    return number, True


def whole_number(text: str) -> int:
    """Turn ``1234`` (or ``#1234``) into an integer that SQLite can hold."""
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise ValueError(f"{shown(text)} is no number")
    return int(digits)


def number_range(text: str) -> tuple[int, int]:
    """Turn ``7`` into (7, 7) and ``7..9`` into (7, 9)."""
    low, dots, high = text.partition("..")
    return whole_number(low), whole_number(high if dots else low)


def plain(word: str) -> str:
    """Fold a state word: ``Not-Ready``, ``not_ready`` and ``NotReady`` are one."""
    return re.sub(r"[-_ ]", "", word).casefold()
