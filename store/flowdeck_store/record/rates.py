"""Rates: limits whose slots are not given back, but come free by themselves, so many in a second.

A rate is a bucket that leaks. What is in it stands beside its limit, as JSON in a row of ``meta``: how
full it was, and when that was so. Whoever takes slots works out how much has leaked since then.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

_KEY: Final = "rate:"
_ALL: Final = "SELECT substr(key,6),value FROM meta WHERE key>='rate:' AND key<'rate;'"
_SECOND: Final = 1e6


def define(conn: sqlite3.Connection, name: str, decay: float | None) -> None:
    """Make a limit a rate, or none any more; the caller holds a transaction.

    Args:
        conn: inside a write transaction.
        name: of the limit.
        decay: slots that come free in a second.
    """
    if decay is None:
        conn.execute("DELETE FROM meta WHERE key=?", (_KEY + name,))
    else:
        level, us = _read(conn, name)[1:] or (0.0, 0)
        _write(conn, name, decay, level, us)


def decays(conn: sqlite3.Connection) -> dict[str, float]:
    """Return how many slots of each rate come free in a second, by name."""
    found = {}
    for name, text in conn.execute(_ALL).fetchall():
        values = _values(text)
        if values:
            found[name] = values[0]
    return found


def take(conn: sqlite3.Connection, name: str, most: int, slots: int, now_us: int) -> float | None:
    """Take slots of a rate if there are so many; the caller holds a transaction.

    Args:
        conn: inside a write transaction.
        name: of the limit.
        most: slots that there are.
        slots: how many are wanted, not more than ``most``.
        now_us: the time, µs.

    Returns:
        0 if they are taken; else the seconds after which there are so many, if nobody else takes
        any; ``None``: the limit is no rate.
    """
    found = _read(conn, name)
    if not found:
        return None
    decay, level, us = found
    passed = max(0, now_us - us) / _SECOND  # a clock that was set back frees nothing
    level = max(0.0, level - passed * decay)
    missing = level + slots - most
    if missing > 1e-9:
        return missing / decay
    _write(conn, name, decay, level + slots, now_us)
    return 0.0


def _read(conn: sqlite3.Connection, name: str) -> tuple[float, float, int] | tuple[()]:
    rows = conn.execute("SELECT value FROM meta WHERE key=?", (_KEY + name,)).fetchall()
    return _values(rows[0][0]) if rows else ()


def _values(text: object) -> tuple[float, float, int] | tuple[()]:
    try:
        decay, level, us = json.loads(str(text))
        return float(decay), float(level), int(us)
    except (TypeError, ValueError, OverflowError):  # nobody else writes there; but then it is none
        return ()


def _write(conn: sqlite3.Connection, name: str, decay: float, level: float, us: int) -> None:
    values = json.dumps([decay, level, us])
    conn.execute("INSERT OR REPLACE INTO meta(key,value) VALUES(?,?)", (_KEY + name, values))
