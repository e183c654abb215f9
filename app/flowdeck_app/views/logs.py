"""Log lines as Content: time, level, message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.views.text import DRAWN, clean, clean_lines, fit, fit_middle, wrap_cells
from flowdeck_app.views.times import TimeMode, clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.views.look import Look
    from flowdeck_store.records import LogRecord

_STYLES: Final = (
    (logging.CRITICAL, "bold $fd-crashed"),
    (logging.ERROR, "bold $fd-failed"),
    (logging.WARNING, "$fd-retrying"),
    (logging.INFO, "$fd-muted"),
    (0, "$fd-faint"),
)
_LEVEL: Final = 8  # cells
#: Levels that ``+`` and ``-`` or a filter go through.
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def level_style(level: int) -> str:
    """Return the style of a level's word."""
    return next(style for least, style in _STYLES if level >= least)


def level_word(level: int) -> str:
    """Return a level's name: ``INFO``, ``WARN``, ``ERROR``."""
    name = logging.getLevelName(level)
    return {"WARNING": "WARN", "CRITICAL": "FATAL"}.get(name, name.removeprefix("Level "))


def log_prefix(record: LogRecord, look: Look, start_us: int | None) -> tuple[str, list[Span]]:
    """Return time and level, with styles.

    Args:
        record: the line.
        look: for the time mode (relative: since ``start_us``).
        start_us: start of the run.
    """
    if look.times is TimeMode.OFF:
        time = ""
    elif look.times is TimeMode.RELATIVE and start_us is not None:
        time = f"{since((record.us - start_us) / 1e6)} "
    else:
        time = clock(record.us, look.zone, fraction=3) + " "
    level = fit(level_word(record.level), 6, ellipsis="")
    spans = [Span(0, len(time), "$fd-faint")] if time else []
    spans.append(Span(len(time), len(time) + 6, level_style(record.level)))
    return time + level, spans


def since(seconds: float) -> str:
    """Return the time since the start of a run in ten cells: ``    +1.730``, ``+12:03.551``."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        text = f"+{hours}:{minutes:02d}:{rest:02.0f}"
    elif minutes:
        text = f"+{minutes}:{rest:06.3f}"
    else:
        text = f"+{rest:.3f}"
    return text.rjust(10)


def log_lines(
    record: LogRecord,
    look: Look,
    width: int,
    *,
    wrap: bool,
    start_us: int | None = None,
    task: str = "",
    task_cells: int = 0,
) -> Sequence[Content]:
    """Return a log line as drawn lines.

    Args:
        record: the line.
        look: clock, signs, time mode.
        width: cells there are.
        wrap: break long messages and show line breaks; otherwise one line.
        start_us: start of the run, for relative times.
        task: name of the task that wrote it; shown in a column of ``task_cells`` if not 0.
        task_cells: width of that column.
    """
    prefix, spans = log_prefix(record, look, start_us)
    if task_cells:
        shown = fit_middle(clean(task, 200), task_cells, ellipsis=look.symbols.ellipsis)
        spans.append(Span(len(prefix), len(prefix) + len(shown), "$fd-muted"))
        prefix += shown + " "
    tone = "$fd-muted" if record.level < logging.INFO else ""
    if not wrap:
        sign = look.symbols.newline
        text = clean(record.message, DRAWN, newline=sign, ascii_only=look.symbols.ascii)
        return [_line(prefix, text, spans, tone)]
    room = max(10, width - len(prefix))
    pieces = [
        piece for line in clean_lines(record.message) for piece in wrap_cells(line, room)
    ] or [""]
    indent = " " * len(prefix)
    return [
        _line(prefix if place == 0 else indent, piece, spans if place == 0 else [], tone)
        for place, piece in enumerate(pieces)
    ]


def _line(prefix: str, text: str, spans: list[Span], tone: str) -> Content:
    line = prefix + text
    styled = [*spans, Span(len(prefix), len(line), tone)] if tone and text else spans
    return Content(line, list(styled), strip_control_codes=False)
