"""Amounts of resources: ``{"gpu": 1, "memory": "2GB"}``, as tasks ask for them and as there are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: What every machine has, or may have. Others are names of the user's, as they are written.
KNOWN: Final = ("cpu", "gpu", "memory")
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?\s*", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def amounts(given: Any, where: str = "resources") -> dict[str, float]:
    """Return amounts by name: memory in bytes, the known names in small letters.

    Args:
        given: a dict, or ``None`` for none.
        where: what it was given as.

    Raises:
        TypeError: it is no dict of numbers by names.
        ValueError: an amount is negative, or no size.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise TypeError(
            f"`{where}` is a dict such as {{'gpu': 1, 'memory': '2GB'}}, not {given!r}."
        )
    found = {}
    for key, value in given.items():
        if not isinstance(key, str) or not key.strip():
            raise TypeError(f"`{where}` is a dict by names of resources, but has {key!r}.")
        name = key.strip()
        name = name.lower() if name.lower() in KNOWN else name
        amount = _size(value, where) if name == "memory" else _number(name, value, where)
        if amount:
            found[name] = amount
    return found


def _number(name: str, value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{where}`: {name} is a number, not {value!r}.")
    if not 0 <= value < float("inf"):
        raise ValueError(f"`{where}`: {name} is a number of at least 0, not {value!r}.")
    return float(value)


def _size(value: Any, where: str) -> float:
    if not isinstance(value, str):
        return _number("memory", value, where)
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"`{where}`: memory is a size such as '2GB' or '512MiB', not {value!r}.")
    number, power, is_binary = found.groups()
    return float(number) * float(1024 if is_binary else 1000) ** _POWERS[power.lower()]


def shown(found: Mapping[str, float]) -> str:
    """Return amounts as a text: ``gpu=1, memory=2GB``."""
    return ", ".join(f"{name}={shown_amount(name, found[name])}" for name in sorted(found))


def shown_amount(name: str, amount: float) -> str:
    """Return one amount as a text."""
    if name != "memory":
        return f"{amount:g}"
    power = 0
    while amount >= 1000 and power < len(_POWERS) - 1:
        amount, power = amount / 1000, power + 1
    return f"{amount:.3g}{' kMGTP'[power].strip()}B"
