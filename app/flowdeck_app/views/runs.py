"""Flow runs as table rows, and progress as a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import thousands
from flowdeck_app.drawing.bars import progress_content
from flowdeck_app.drawing.cells import Cell, clean, cut, fit_right
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.signs import ACTIVE, Kind, kind_of
from flowdeck_app.drawing.states import ended_tasks, glyph_cell, word_cell
from flowdeck_app.drawing.times import TimeMode, by_the_clock, duration, moment, seconds_of
from flowdeck_store.read.causes import plain
from flowdeck_store.states import PAUSED

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.rows import RunRow


def _glyph(row: RunRow, look: Look) -> Cell:
    if row.record.asks:
        return look.symbols.of(Kind.PAUSED), "bold $fd-retrying"
    sign, style = glyph_cell(row.record.code, row.record.named, look)
    return sign, "$fd-faint" if row.repaired_by is not None else style


def _name(row: RunRow, look: Look) -> Cell:
    return clean(row.record.name, 300, ascii_only=look.symbols.ascii), "$fd-strong"


def _flow(row: RunRow, look: Look) -> Cell:
    return clean(row.record.flow, 300, ascii_only=look.symbols.ascii), ""


def _state(row: RunRow, look: Look) -> Cell:
    if row.record.asks:
        return "asks you", "bold $fd-retrying"
    word, style = word_cell(row.record.code, row.record.named)
    return word, "$fd-faint" if row.repaired_by is not None else style


def _started(row: RunRow, look: Look) -> Cell:
    when = row.record.started_us or row.record.created_us
    return moment(when, look.now_us, look.times, look.zone), "$fd-muted"


def _started_fitted(row: RunRow, look: Look, cells: int) -> Content:
    """``today 14:03``, or ``14:03`` where there is less room; as the key ``T`` has it otherwise."""
    when = row.record.started_us or row.record.created_us
    text = moment(when, look.now_us, look.times, look.zone)
    if look.times is TimeMode.RELATIVE:
        text = by_the_clock(when, look.now_us, look.zone, cells)
    drawn = cut(text, cells, ellipsis=look.ellipsis)
    return Content(drawn, [Span(0, len(drawn), "$fd-muted")], strip_control_codes=False)


def _time(row: RunRow, look: Look) -> Cell:
    seconds = seconds_of(row.record, look.now_us)
    return duration(seconds, look.dash), "" if seconds is not None else "$fd-faint"


def _times_median(row: RunRow, look: Look, cells: int) -> Content:
    """``▉▉ 1.9``: how many times the flow's median it took, as a bar and a number."""
    seconds = seconds_of(row.record, look.now_us)
    if seconds is None or seconds < 0 or not row.p50:
        text = look.dash.rjust(cells)
        return Content(text, [Span(0, len(text), "$fd-faint")], strip_control_codes=False)
    times = seconds / row.p50
    shown = f"{min(times, 99.9):.1f}"
    room = max(0, cells - len(shown) - 1)
    filled = min(room, round(times)) if times >= 0.5 else 0
    bar = look.symbols.levels[-1] * filled + " " * (room - filled)
    style = "$fd-retrying" if times >= 2 else "$fd-faint"
    spans = [Span(0, room, style), Span(room + 1, cells, style if times >= 2 else "$fd-muted")]
    return Content(f"{bar} {shown}", spans, strip_control_codes=False)


def _tasks(row: RunRow, look: Look) -> Cell:
    total = sum(row.record.counts)
    if not total:
        return look.dash, "$fd-faint"
    return f"{ended_tasks(row.record.counts)}/{total}", "$fd-muted"


def _tasks_fitted(row: RunRow, look: Look, cells: int) -> Content:
    """``3120/5000``, or ``3.1k/5k`` where there is less room: a number is never cut."""
    text, style = _tasks(row, look)
    if len(text) > cells:
        total = sum(row.record.counts)
        text = f"{thousands(ended_tasks(row.record.counts))}/{thousands(total)}"
    shown = fit_right(text, cells, ellipsis=look.ellipsis)
    return Content(shown, [Span(0, len(shown), style)], strip_control_codes=False)


def _progress(row: RunRow, look: Look, cells: int) -> Content:
    if row.record.asks:
        return Content.styled(cut("waits for you: A answers", cells), "bold $fd-retrying")
    counts = row.record.counts
    total, done = sum(counts), ended_tasks(counts)
    whole = row.record.is_final and done == total
    label = f" {total if whole else f'{done}/{total}'}" if total else ""
    room = cells - max(7, len(label))
    if room < 4:
        return Content(cut(label.strip() or look.dash, cells))
    bar = progress_content(counts, room, look, final=row.record.is_final)
    return Content.assemble(bar, (label, "$fd-muted"))


def _failed_in(row: RunRow, look: Look) -> Cell:
    if row.repaired_by is not None:  # nobody needs to look any more
        name = clean(row.repaired_by, 300, ascii_only=look.symbols.ascii)
        return f"{look.symbols.of(Kind.COMPLETED)} re-run {name}", "$fd-muted"
    if row.record.asks:
        told = row.record.message if row.record.code == PAUSED else ""
        text = clean(told or "", 300, newline=" ", ascii_only=look.symbols.ascii)
        return text or "A answers", "$fd-retrying"
    where, error = row.failed_in or "", row.error
    if not where and not error:
        wrong = kind_of(row.record.code, row.record.named) in {Kind.FAILED, Kind.CRASHED}
        error = plain(row.record.message) if wrong else ""
    text = clean(f"{where} {error}".strip(), 300, newline=" ", ascii_only=look.symbols.ascii)
    return text, "$fd-failed"


def _cause(row: RunRow, look: Look, cells: int) -> Content:
    """What it failed in, and of what; where there is little room, its own part of that."""
    text, style = _failed_in(row, look)
    drawn = cut(text, cells, ellipsis=look.ellipsis)
    where = len(clean(row.failed_in or "", 300, ascii_only=look.symbols.ascii))
    spans = [Span(0, len(drawn), "$fd-muted")] if drawn else []
    if row.repaired_by is None and where and drawn:
        spans.append(Span(0, min(where, len(drawn)), style))
    return Content(drawn, spans, strip_control_codes=False)


def _runner(row: RunRow, look: Look) -> Cell:
    return clean(row.record.runner or look.dash, 60), "$fd-muted"


def _tags(row: RunRow, look: Look) -> Cell:
    return clean(" ".join(row.record.tags), 200), "$fd-muted"


#: History: in the order shown.
RUN_COLUMNS: Final[tuple[Column[RunRow], ...]] = (
    Column("glyph", "", _glyph, 1, gap=0),
    Column(
        "run",
        "Run",
        _name,
        15,
        grow=5,
        most=28,
        align="middle",
        order="name",
        fits=True,
        first=True,
    ),
    Column(
        "flow",
        "Flow",
        _flow,
        9,
        grow=3,
        most=28,
        align="middle",
        order="flow",
        fits=True,
        first=True,
    ),
    Column("state", "State", _state, 10, order="problems"),
    Column(
        "started",
        "Started",
        _started,
        9,
        grow=1,
        most=15,
        drop=2,
        order="newest",
        paint=_started_fitted,
    ),
    Column("time", "Time", _time, 7, align="right", order="duration"),
    Column("median", "×p50", lambda row, look: ("", ""), 8, drop=5, paint=_times_median),
    Column(
        "tasks",
        "Tasks",
        _tasks,
        7,
        grow=1,
        most=15,
        drop=3,
        align="right",
        fits=True,
        first=True,
        paint=_tasks_fitted,
    ),
    Column(
        "failed",
        "Cause",
        _failed_in,
        16,
        grow=9,
        most=80,
        drop=1,
        gap=2,
        fits=True,
        first=True,
        optional=True,
        paint=_cause,
    ),
    Column("runner", "Runner", _runner, 10, drop=6),
    Column("tags", "Tags", _tags, 8, grow=1, most=24, drop=7),
)
#: Home's list of active and recent runs.
RECENT_COLUMNS: Final[tuple[Column[RunRow], ...]] = (
    Column("glyph", "", _glyph, 1, gap=0),
    Column("run", "Run", _name, 16, grow=3, most=28, align="middle", fits=True, first=True),
    Column("flow", "Flow", _flow, 10, grow=2, most=28, align="middle", drop=1, fits=True, first=True),
    Column("progress", "Progress", lambda row, look: ("", ""), 12, grow=3, most=40, drop=2,
           paint=_progress),
    Column("time", "Time", _time, 7, align="right"),
    Column("started", "Started", _started, 8, drop=3, align="right"),
)  # fmt: skip
#: Sort orders that ``s`` goes through.
RUN_ORDERS: Final = ("newest", "problems", "duration", "flow", "name")


def is_live(row: RunRow) -> bool:
    """Say whether the row's time grows."""
    return row.record.ended_us is None and kind_of(row.record.code, row.record.named) in ACTIVE
