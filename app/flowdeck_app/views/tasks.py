"""Task runs as table rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing import own_progress
from flowdeck_app.drawing.cells import Cell, clean, cut
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.signs import ACTIVE, Kind, kind_of
from flowdeck_app.drawing.states import glyph_cell, word_cell
from flowdeck_app.drawing.stems import CLOSED, Fold, stem_text
from flowdeck_app.drawing.times import TimeMode, clock, duration, seconds_of
from flowdeck_store.read.causes import plain
from flowdeck_store.states import is_final

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.rows import TaskRow


def _glyph(row: TaskRow, look: Look) -> Cell:
    return glyph_cell(row.record.code, row.record.named, look)


def _name(row: TaskRow, look: Look) -> Cell:
    name = clean(row.record.label, 300, ascii_only=look.symbols.ascii)
    below = CLOSED if row.fold is Fold.CLOSED else ""
    return f"{stem_text(row.stem, look.symbols)}{name}{below}", "$fd-strong"


def _state(row: TaskRow, look: Look) -> Cell:
    if row.record.code == 1 and kind_of(1, row.record.named) is Kind.PENDING and row.upstreams:
        waiting = any(not is_final(up.code, up.named) for up in row.upstreams if up.code >= 0)
        return ("blocked" if waiting else "pending"), "$fd-waiting"
    return word_cell(row.record.code, row.record.named)


def _start(row: TaskRow, look: Look) -> Cell:
    started = row.record.started_us
    if started is None:
        return look.dash, "$fd-faint"
    if look.times is TimeMode.OFF:
        return "", "$fd-muted"
    return clock(started, look.zone), "$fd-muted"


def _time(row: TaskRow, look: Look) -> Cell:
    record = row.record
    seconds = seconds_of(record, look.now_us)
    return duration(seconds, look.dash), "" if seconds is not None else "$fd-faint"


def _try(row: TaskRow, look: Look) -> Cell:
    record = row.record
    if record.started_us is None:
        return look.dash, "$fd-faint"
    style = "$fd-retrying" if record.attempt > 1 else "$fd-muted"
    return f"{record.attempt}/{record.retries + 1}", style


def _worker(row: TaskRow, look: Look) -> Cell:
    return clean(row.record.worker or look.dash, 100), "$fd-muted"


def _waits(row: TaskRow, look: Look) -> Cell:
    if not row.upstreams:
        return look.dash, "$fd-faint"
    bad = next((up for up in row.upstreams if up.code >= 0 and _blocks(up.code, up.named)), None)
    shown = bad if bad is not None else row.upstreams[0]
    name = clean(shown.label or "deleted", 100)
    sign = f" {look.symbols.of(kind_of(shown.code, shown.named))}" if bad is not None else ""
    more = f" +{len(row.upstreams) - 1}" if len(row.upstreams) > 1 else ""
    return f"{name}{sign}{more}", "$fd-failed" if bad is not None else "$fd-muted"


def _blocks(code: int, named: str | None) -> bool:
    return kind_of(code, named) in {Kind.FAILED, Kind.CRASHED, Kind.CANCELLED, Kind.SKIPPED}


def _message(row: TaskRow, look: Look) -> Cell:
    text = clean(plain(row.record.message), 600, newline=" ", ascii_only=look.symbols.ascii)
    wrong = kind_of(row.record.code, row.record.named) in {Kind.FAILED, Kind.CRASHED}
    return text, "" if wrong else "$fd-muted"


def _bar_or_message(row: TaskRow, look: Look, cells: int) -> Content:
    """How far a task says it is while it runs, else what its state says."""
    record = row.record
    if record.progress is not None and is_live(row):
        return own_progress.row_content(record.progress, record.started_us, look, cells)
    text, style = _message(row, look)
    drawn = cut(text, cells, ellipsis=look.ellipsis)
    spans = [Span(0, len(drawn), style)] if style else []
    return Content(drawn, spans, strip_control_codes=False)


#: In the order shown; the drop order is that of the design (worker goes first).
TASK_COLUMNS: Final[tuple[Column[TaskRow], ...]] = (
    Column("glyph", "", _glyph, 1, gap=0),
    Column("task", "Task", _name, 14, grow=3, most=40, align="middle", order="name", fits=True),
    Column("state", "State", _state, 10, order="problems"),
    Column("start", "Start", _start, 8, drop=3, since=84, align="right", order="start"),
    Column("time", "Time", _time, 7, align="right", order="duration"),
    Column("try", "Try", _try, 4, drop=2, since=84, gap=2),
    Column(
        "worker", "Worker", _worker, 6, grow=1, most=18, drop=5, since=92, fits=True, optional=True
    ),
    Column(
        "waits", "Waits on", _waits, 12, grow=1, most=26, drop=4, since=88, fits=True, optional=True
    ),
    Column("message", "Message", _message, 12, grow=6, drop=1, paint=_bar_or_message),
)
#: Sort orders that ``s`` goes through.
TASK_ORDERS: Final = ("problems", "start", "duration", "name", "number")


def is_live(row: TaskRow) -> bool:
    """Say whether the row's time grows."""
    return row.record.ended_us is None and kind_of(row.record.code, row.record.named) in ACTIVE
