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
