"""Dates and numbers that the arrow keys step, and paths that complete themselves."""

from __future__ import annotations

import asyncio
import calendar
import datetime
import os
from typing import TYPE_CHECKING, Final

from textual.suggester import Suggester

from flowdeck_app.drawing.cells import clean

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_app.screens.launch.specs import Field

#: Entries of a folder that are looked at: nobody waits for more while typing.
_MOST_ENTRIES: Final = 5_000


def stepped(spec: Field, text: str, by: int, *, far: bool, today: datetime.date) -> str | None:
    """Return the text one step further, ``None`` where there are no steps.

    Args:
        spec: the field: a number steps by one (far: ten), a date or time by a day (far: a month).
        text: what is there. An empty date begins with today, an empty number with its least.
        by: 1 or -1.
        far: the larger step.
        today: the date that an empty field begins with.
    """
    if spec.widget == "int":
        return _number(spec, text, by * (10 if far else 1))
    if spec.widget == "date":
        return _date(text, by, far=far, today=today)
    if spec.widget == "datetime":
        day, mark, time = text.partition("T" if "T" in text else " ")
        found = _date(day, by, far=far, today=today)
        if found is None:
            return None
        return f"{found}{mark}{time}" if mark else f"{found}T00:00"
    return None


def _number(spec: Field, text: str, by: int) -> str | None:
    low, high = spec.schema.get("minimum"), spec.schema.get("maximum")
    if text.strip() == "":
        return str(low if isinstance(low, int) else 0)
    try:
        number = int(text) + by
    except ValueError:
        return None
    number = max(number, low) if isinstance(low, int) else number
    return str(min(number, high) if isinstance(high, int) else number)


def _date(text: str, by: int, *, far: bool, today: datetime.date) -> str | None:
    if text.strip() == "":
        return today.isoformat()
    try:
        day = datetime.date.fromisoformat(text.strip())
        return (_month(day, by) if far else day + datetime.timedelta(days=by)).isoformat()
    except (ValueError, OverflowError):
        return None


def _month(day: datetime.date, by: int) -> datetime.date:
    """Return the same day of the next month or the one before, or its last day."""
    months = day.year * 12 + day.month - 1 + by
    year, month = months // 12, months % 12 + 1
    return datetime.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


class PathSuggester(Suggester):
    """Completes the last part of a path from what is there; ``right`` takes the suggestion.

    Args:
        folder: where the run will start, for relative paths.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._folder = folder

    async def get_suggestion(self, value: str) -> str | None:
        """Return the path completed, ``None`` if nothing there begins so."""
        return await asyncio.to_thread(completed, self._folder, value) if value else None


def completed(folder: Path, text: str) -> str | None:
    """Return a path with its last part completed, a folder with its separator behind it.

    Args:
        folder: for relative paths.
        text: what was typed.
    """
    head, start = os.path.split(text)
    found: list[tuple[str, bool]] = []
    try:
        with os.scandir(folder / head) as entries:
            for count, entry in enumerate(entries):
                if count >= _MOST_ENTRIES:
                    break
                shown = start.startswith(".") or not entry.name.startswith(".")
                if shown and entry.name.startswith(start) and clean(entry.name) == entry.name:
                    found.append((entry.name, entry.is_dir()))
    except (OSError, ValueError):
        return None
    if not found:
        return None
    name, is_folder = min(found)
    whole = os.path.join(head, name) + (os.sep if is_folder else "")
    return whole if len(whole) > len(text) else None
