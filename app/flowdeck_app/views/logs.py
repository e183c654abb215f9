"""Log lines as Content: time, level, message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.ansi import PLAIN, Pen, has_colours, parts
from flowdeck_app.drawing.cells import DRAWN, clean, clean_lines, fit, fit_middle, wrap_cells
from flowdeck_app.drawing.cells import width as cells_of
from flowdeck_app.drawing.levels import NUMBERS, level_style, level_word
from flowdeck_app.drawing.times import TimeMode, clock
from flowdeck_app.views.log.folds import folded_traceback
from flowdeck_store.errors import QueryError
from flowdeck_store.query.language import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import LogRecord

_LEVEL: Final = 8  # cells
#: Lines of a message that are looked at.
LINES: Final = 200
#: Levels that ``+`` and ``-`` or a filter go through.
LEVELS: Final = tuple(name.lower() for name in NUMBERS)


def texts_in(query: str) -> tuple[str, ...]:
    """Return the texts that a filter searches for: what is to be marked in the lines it lets through.

    Args:
        query: the filter; of a wrong one nothing is marked.
    """
    try:
        terms = parse(query, "logs").terms
    except QueryError:
        return ()
    return tuple(
        value.text
        for term in terms
        if term.field is None and not term.negated
        for value in term.values
        if value.quoted or "*" not in value.text
    )


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
    style = level_style(record.level)
    if record.level >= logging.ERROR:
        style = f"bold {style}"
    spans.append(Span(len(time), len(time) + 6, style))
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
    fold: bool = True,
    times: int = 1,
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
        fold: show a traceback as one line.
        times: how many lines it stands for; more than one are said behind the message.
    """
    prefix, spans = log_prefix(record, look, start_us)
    if task_cells:
        shown = fit_middle(clean(task, 200), task_cells, ellipsis=look.ellipsis)
        spans.append(Span(len(prefix), len(prefix) + len(shown), "$fd-muted"))
        prefix += shown + " "
    tone = "$fd-muted" if record.level < logging.INFO else ""
    message = (folded_traceback(record.message) if fold else None) or record.message
    if times > 1:
        return [_counted(prefix, message, spans, width, times, look)]
    if not wrap:
        text, colours = one_line(message, look)
        return [_line(prefix, text, spans, tone, colours)]
    taken = cells_of(prefix)
    room = max(10, width - taken)
    indent = " " * taken
    return [
        _line(prefix if place == 0 else indent, piece, spans if place == 0 else [], tone, colours)
        for place, (piece, colours) in enumerate(_pieces(message, room))
    ]


def _counted(
    prefix: str, message: str, spans: list[Span], width: int, times: int, look: Look
) -> Content:
    """Return a line that stands for several: what they have in common, and how many there are."""
    signs = look.symbols
    count = f" {signs.times}{number(times, signs.group)}"
    room = max(8, width - cells_of(prefix) - cells_of(count))
    text = clean(message, DRAWN, newline=signs.newline, ascii_only=signs.ascii)
    if cells_of(text) > room:
        text = fit_middle(text, room, ellipsis=signs.ellipsis)
    line = prefix + text + count
    spans.append(Span(len(prefix) + len(text), len(line), "$fd-accent"))
    return Content(line, spans, strip_control_codes=False)


def one_line(message: str, look: Look) -> tuple[str, list[Span]]:
    """Return a message as one drawable line, and the colours that it brings along."""
    signs = look.symbols
    if not has_colours(message):
        return clean(message, DRAWN, newline=signs.newline, ascii_only=signs.ascii), []
    text, spans, _ = _coloured(message[:DRAWN], PLAIN, signs.newline, ascii_only=signs.ascii)
    return text, spans


def _coloured(
    text: str, pen: Pen, newline: str = "", *, ascii_only: bool = False
) -> tuple[str, list[Span], Pen]:
    """Return a text as it is drawn, its colours, and the pen behind it."""
    drawn, spans = "", []
    for part, now in parts(text, pen):
        pen = now
        shown = clean(part, DRAWN, newline=newline, ascii_only=ascii_only)
        if pen.style and shown:
            spans.append(Span(len(drawn), len(drawn) + len(shown), pen.style))
        drawn += shown
    return drawn, spans, pen


def _pieces(message: str, cells: int) -> Iterator[tuple[str, list[Span]]]:
    """Yield the lines of a message, wrapped, with their colours."""
    if not has_colours(message):
        for line in clean_lines(message) or [""]:
            for piece in wrap_cells(line, cells):
                yield piece, []
        return
    pen = PLAIN
    for line in message[: DRAWN * LINES].split("\n", LINES)[:LINES]:
        text, spans, pen = _coloured(line.rstrip("\r")[:DRAWN], pen)
        start = 0
        for piece in wrap_cells(text, cells):
            end = start + len(piece)
            yield (
                piece,
                [
                    Span(max(a, start) - start, min(b, end) - start, style)
                    for a, b, style in spans
                    if a < end and b > start
                ],
            )
            start = end


def _line(prefix: str, text: str, spans: list[Span], tone: str, colours: list[Span]) -> Content:
    line, start = prefix + text, len(prefix)
    styled = [*spans, Span(start, len(line), tone)] if tone and text else list(spans)
    styled += [Span(a + start, b + start, style) for a, b, style in colours]
    return Content(line, styled, strip_control_codes=False)
