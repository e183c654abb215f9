"""Groups of errors, and what failed with one, as table rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.bars import spark_content
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.times import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.errors.groups import ErrorGroup
    from flowdeck_store.read.errors.reads import ErrorOccurrence

#: Cells of the picture of when an error happened.
WHEN: Final = 16


def when_counts(when: Sequence[tuple[int, int]], now_us: int, cells: int) -> list[int]:
    """Return how many failures fall into each cell of a strip from the first one until now.

    Args:
        when: microseconds and failures.
        now_us: where the strip ends.
        cells: of the strip.
    """
    counts = [0] * cells
    if not when:
        return counts
    start = min(us for us, _ in when)
    span = max(now_us - start, 1)
    for us, failures in when:
        place = (us - start) * cells // span
        counts[min(cells - 1, max(0, place))] += failures
    return counts


def _mark(look: Look, *, is_open: bool, is_repaired: bool) -> Cell:
    """Return a sign: what nobody repaired, as its run completed all the same, is not made good."""
    if is_open:
        return look.symbols.of(Kind.FAILED), SIGNS[Kind.FAILED].style
    return (look.symbols.of(Kind.COMPLETED) if is_repaired else look.dash), "$fd-faint"


def _glyph(group: ErrorGroup, look: Look) -> Cell:
    return _mark(look, is_open=group.is_open, is_repaired=bool(group.repaired_runs))


def _type(group: ErrorGroup, look: Look) -> Cell:
    name = group.exc_type.rpartition(".")[2] or group.exc_type
    style = "$fd-strong" if group.is_open else "$fd-muted"
    return clean(name, 300, newline=" ", ascii_only=look.symbols.ascii), style


def _place(group: ErrorGroup, look: Look) -> Cell:
    text = clean(group.place.short, 300, newline=" ", ascii_only=look.symbols.ascii)
    return text or look.dash, ""


def _count(group: ErrorGroup, look: Look) -> Cell:
    return f"{'x' if look.symbols.ascii else '×'}{group.count}", ""


def _runs(group: ErrorGroup, look: Look) -> Cell:
    return str(len(group.runs)), ""


def _open(group: ErrorGroup, look: Look) -> Cell:
    if group.is_open:
        return str(len(group.open_runs)), SIGNS[Kind.FAILED].style
    return look.dash, "$fd-faint"


def _flows(group: ErrorGroup, look: Look) -> Cell:
    text = clean(", ".join(group.flows), 300, newline=" ", ascii_only=look.symbols.ascii)
    return text, "$fd-muted"


def _first(group: ErrorGroup, look: Look) -> Cell:
    return moment(group.first_us, look.now_us, look.times, look.zone), "$fd-muted"


def _last(group: ErrorGroup, look: Look) -> Cell:
    return moment(group.last_us, look.now_us, look.times, look.zone), "$fd-muted"


def _nothing(row: object, look: Look) -> Cell:
    return "", ""


def _when(group: ErrorGroup, look: Look, cells: int) -> Content:
    style = SIGNS[Kind.FAILED].style if group.is_open else "$fd-faint"
    return spark_content(when_counts(group.when, look.now_us, cells), cells, look, style)


GROUP_COLUMNS: Final[tuple[Column[ErrorGroup], ...]] = (
    Column("glyph", "", _glyph, 1, gap=0),
    Column("error", "Error", _type, 16, grow=3, most=40, align="middle", fits=True, first=True),
    Column("place", "Place", _place, 12, grow=2, most=30, align="middle", fits=True, first=True),
    Column("count", "Tasks", _count, 6, align="right"),
    Column("runs", "Runs", _runs, 5, drop=3, align="right"),
    Column("open", "Open", _open, 5, drop=1, align="right"),
    Column("last", "Last", _last, 9, most=12, gap=2),
    Column("first", "First", _first, 9, most=12, drop=4),
    Column("when", "When", _nothing, WHEN, drop=5, gap=2, paint=_when),
    Column("flows", "Flows", _flows, 10, grow=3, drop=2, gap=2),
)


def _occurred_glyph(row: ErrorOccurrence, look: Look) -> Cell:
    return _mark(look, is_open=row.is_open, is_repaired=row.made_good is not None)


def _ref(row: ErrorOccurrence, look: Look) -> Cell:
    return (f"{row.run_id}.{row.task_no}" if row.task_no else str(row.run_id)), "$fd-muted"


def _task(row: ErrorOccurrence, look: Look) -> Cell:
    name = clean(row.task or "the flow itself", 300, newline=" ", ascii_only=look.symbols.ascii)
    return name, "$fd-strong" if row.is_open else "$fd-muted"


def _run(row: ErrorOccurrence, look: Look) -> Cell:
    return clean(row.run_name, 300, newline=" ", ascii_only=look.symbols.ascii), ""


def _flow(row: ErrorOccurrence, look: Look) -> Cell:
    return clean(row.flow, 300, newline=" ", ascii_only=look.symbols.ascii), "$fd-muted"


def _at(row: ErrorOccurrence, look: Look) -> Cell:
    return moment(row.us, look.now_us, look.times, look.zone), "$fd-muted"


def _repaired(row: ErrorOccurrence, look: Look) -> Cell:
    if row.made_good is not None:
        return f"re-run #{row.made_good}", "$fd-muted"
    return ("open", SIGNS[Kind.FAILED].style) if row.is_open else (look.dash, "$fd-faint")


def _message(row: ErrorOccurrence, look: Look) -> Cell:
    return clean(row.message, 500, newline=" ", ascii_only=look.symbols.ascii), "$fd-muted"


OCCURRENCE_COLUMNS: Final[tuple[Column[ErrorOccurrence], ...]] = (
    Column("glyph", "", _occurred_glyph, 1, gap=0),
    Column("ref", "Task", _ref, 7, grow=1, most=14, drop=4, fits=True, first=True),
    Column("task", "Name", _task, 14, grow=2, most=32, align="middle", fits=True, first=True),
    Column("run", "Run", _run, 12, grow=2, most=28, drop=2, align="middle", fits=True, first=True),
    Column("flow", "Flow", _flow, 10, grow=1, most=24, drop=5, align="middle", fits=True),
    Column("when", "When", _at, 9, most=12, drop=1),
    Column("repair", "Repair", _repaired, 12, drop=3),
    Column("message", "Message", _message, 12, grow=4, gap=2),
)


def title(group: ErrorGroup, look: Look) -> str:
    """Return ``ConnectionError at etl.py:12``, drawable."""
    return clean(group.title, 200, newline=" ", ascii_only=look.symbols.ascii)


def figures(group: ErrorGroup, look: Look) -> str:
    """Return how often, in how many runs, how many of them are open, from when to when."""
    dot = f" {look.symbols.dot} "
    tasks = f"{group.tasks} task run{'' if group.tasks == 1 else 's'}" if group.tasks else ""
    runs = f"{len(group.runs)} run{'' if len(group.runs) == 1 else 's'}"
    still = f"{len(group.open_runs)} open" if group.is_open else "none open"
    first = moment(group.first_us, look.now_us, look.times, look.zone)
    last = moment(group.last_us, look.now_us, look.times, look.zone)
    seen = f"first {first}, last {last}" if first else ""
    return dot.join(part for part in (tasks, runs, still, seen) if part)
