"""Log lines as the console shows them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flowdeck_app.text import times
from flowdeck_app.text.safe import lines, one_line

if TYPE_CHECKING:
    from flowdeck_app.text.look import Look, Style
    from flowdeck_store.records import LogRecord

LEVELS: Final = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_RUN_LOGGERS: Final = frozenset({"flowdeck.flow_runs", "flowdeck.task_runs"})


def level_number(text: str) -> int | None:
    """Return the number of a level given by name or number, ``None`` when it is neither."""
    if text.isdigit():
        return int(text)
    return LEVELS.get(text.upper()) or {"WARN": 30, "FATAL": 50}.get(text.upper())


def level_style(level: int) -> Style:
    """Return the colour of a level."""
    if level >= logging.ERROR:
        return "red"
    if level >= logging.WARNING:
        return "yellow"
    return "dim" if level < logging.INFO else ""


def log_lines(record: LogRecord, speaker: str | None, look: Look) -> list[str]:
    """Return one log line as text, several lines when its message has them.

    Args:
        record: the line.
        speaker: ``Flow run 'brave-otter'`` or ``Task run 'fetch-3'``, shown where the run's own
            logger spoke; other loggers show their name.
        look: what the place can show.
    """
    name = speaker if speaker and record.logger in _RUN_LOGGERS else one_line(record.logger, 200)
    level = logging.getLevelName(record.level)
    first, *rest = lines(record.message)
    style = level_style(record.level)
    head = look.paint(f"{times.clock_ms(record.us)} |", "dim")
    return [
        f"{head} {look.paint(f'{level:<7}', style)} {look.paint('|', 'dim')} {name} - {first}",
        *rest,
    ]


def speaker(name: str, *, is_task: bool) -> str:
    """Return who speaks in a run's own log lines."""
    return f"{'Task' if is_task else 'Flow'} run '{one_line(name, 120)}'"
