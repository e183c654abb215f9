"""Levels of log lines: names, numbers, colours."""

from __future__ import annotations

import logging
from typing import Final

#: By the names that ``logging`` has.
NUMBERS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_SHORT: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_STYLES: Final = (
    (logging.CRITICAL, "$fd-crashed"),
    (logging.ERROR, "$fd-failed"),
    (logging.WARNING, "$fd-retrying"),
    (logging.INFO, "$fd-muted"),
    (0, "$fd-faint"),
)


def level_number(text: str) -> int | None:
    """Return the number of a level given by name or number, ``None`` when it is neither."""
    if text.isdigit():
        return int(text)
    name = text.upper()
    return next((n for full, n in NUMBERS.items() if name in {full, _SHORT.get(full)}), None)


def level_style(level: int) -> str:
    """Return the colour of a level, as a style of :mod:`~flowdeck_app.drawing.look`."""
    return next(style for least, style in _STYLES if level >= least)


def level_word(level: int) -> str:
    """Return a level's name in five letters: ``INFO``, ``WARN``, ``ERROR``, ``FATAL``."""
    name = logging.getLevelName(level)
    return _SHORT.get(name, name.removeprefix("Level "))
