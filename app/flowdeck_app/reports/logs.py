"""Log lines as the console shows them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing import times
from flowdeck_app.drawing.levels import level_style
from flowdeck_store.safe import lines, one_line

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import LogRecord

_RUN_LOGGERS: Final = frozenset({"flowdeck.flow_runs", "flowdeck.task_runs"})


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
    head = look.paint(f"{times.clock(record.us, fraction=3)} |", "dim")
    return [
        f"{head} {look.paint(f'{level:<7}', style)} {look.paint('|', 'dim')} {name} - {first}",
        *rest,
    ]


def speaker(name: str, *, is_task: bool) -> str:
    """Return who speaks in a run's own log lines."""
    return f"{'Task' if is_task else 'Flow'} run '{one_line(name, 120)}'"
