"""How far a run says it is itself: figures, a bar, and what it does, in the app and on streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean, cut, width
from flowdeck_app.drawing.times import duration

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import ProgressRecord

_BAR: Final = 16
_LEAST_BAR: Final = 4


def figures(record: ProgressRecord, look: Look) -> str:
    """Return ``24%  12/50``; without a total, how much is done."""
    done = _number(record.done, look)
    if record.total is None:
        return f"{done} done"
    share = record.share
    counts = f"{done}/{_number(record.total, look)}"
    return counts if share is None else f"{int(100 * share):>3}%  {counts}"


def words(record: ProgressRecord, look: Look) -> str:
    """Return figures and message in one line."""
    message = clean(record.message or "", 500, newline=" ", ascii_only=look.symbols.ascii)
    return "  ".join(part for part in (figures(record, look).strip(), message) if part)


def left(record: ProgressRecord, started_us: int | None, look: Look) -> str:
    """Return how long it will take if it goes on as it did: ``12s left``; empty if not known."""
    seconds = record.seconds_left(started_us, look.now_us)
    if seconds is None or seconds < 1:
        return ""
    return f"{round(seconds)}s left" if seconds < 60 else f"{duration(seconds)} left"


def row_content(record: ProgressRecord, started_us: int | None, look: Look, cells: int) -> Content:
    """Return bar, figures, time left and message in at most ``cells`` cells."""
    bar, rest = _parts(record, started_us, look, cells)
    filled = len(bar.rstrip(look.symbols.rest)) if look.symbols.rest != look.symbols.done else 0
    text = f"{bar} {rest}" if bar else rest
    spans = [Span(filled, len(bar), "$fd-line"), Span(len(bar), len(text), "$fd-muted")]
    if filled:
        spans.insert(0, Span(0, filled, "$fd-running"))
    return Content(text, spans, strip_control_codes=False)


def painted(record: ProgressRecord, started_us: int | None, look: Look, cells: int) -> str:
    """Return the same for a stream."""
    bar, rest = _parts(record, started_us, look, cells)
    if not bar:
        return look.paint(rest, "dim")
    filled = len(bar.rstrip(look.symbols.rest))
    done = look.paint(bar[:filled], "$fd-running")
    return f"{done}{look.paint(bar[filled:], 'grey')} {look.paint(rest, 'dim')}"


def _parts(
    record: ProgressRecord, started_us: int | None, look: Look, cells: int
) -> tuple[str, str]:
    said = figures(record, look)
    room = cells - width(said) - 1
    share = record.share
    bar = ""
    if share is not None and room >= _LEAST_BAR:
        length = max(_LEAST_BAR, min(_BAR, room // 2))
        filled = int(length * share)
        bar = look.symbols.done * filled + look.symbols.rest * (length - filled)
    message = clean(record.message or "", 500, newline=" ", ascii_only=look.symbols.ascii)
    time = left(record, started_us, look)
    rest = "  ".join(part for part in (said, time, message) if part)
    return bar, cut(rest, max(0, cells - len(bar) - bool(bar)), ellipsis=look.ellipsis)


def _number(amount: float, look: Look) -> str:
    value = float(amount)
    if value.is_integer() and abs(value) < 1e15:
        return number(int(value), look.symbols.group)
    return f"{value:.4g}"
