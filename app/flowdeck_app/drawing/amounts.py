"""Numbers and sizes as users read them."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def number(value: int, separator: str = "\u202f") -> str:
    """Return an integer with thousands apart: ``4 812``."""
    return f"{value:,}".replace(",", separator)


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


def thousands(number: int) -> str:
    """Return ``999``, ``3.1k``, ``5k``, ``120k``, ``1.2M``; never more than there are."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            whole, tenth = divmod(number * 10 // size, 10)
            return f"{whole}.{tenth}{unit}" if tenth and whole < 10 else f"{whole}{unit}"
    return str(number)
