"""Flows as table rows: history, success, median, last run, runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.bars import history_content
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.states import glyph_cell, word_cell
from flowdeck_app.drawing.times import ago, between, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from flowdeck.launch.discovery import Problem
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.flow_list import FlowRow

#: Cells of a history strip: 12 runs with gaps, and the 24 that are read where there is room.
_LEAST_STRIP: Final = 23
_WHOLE_STRIP: Final = 47


def _name(row: FlowRow, look: Look) -> Cell:
    name = clean(row.name, 300, ascii_only=look.symbols.ascii)
    below = f"{'  ' * (row.depth - 1)}{look.symbols.branch_last}" if row.depth else ""
    return below + name, "$fd-strong"


def _history(row: FlowRow, look: Look, cells: int) -> Content:
    points = row.record.history if row.record is not None else ()
    return history_content(points, cells, look, gap=1)


def _no_text(row: FlowRow, look: Look) -> Cell:
    return "", ""


def _success(row: FlowRow, look: Look) -> Cell:
    if row.success is None:
        return look.dash, "$fd-faint"
    text = f"{row.success:.0%}"
    return text, "" if row.success >= 0.9 else "$fd-failed"


def _p50(row: FlowRow, look: Look) -> Cell:
    if row.p50 is None:
        return look.dash, "$fd-faint"
    return duration(row.p50, look.dash), ""


def _glyph(row: FlowRow, look: Look) -> Cell:
    if row.last is None:
        return "", ""
    return glyph_cell(row.last.code, row.last.named, look)


def _state(row: FlowRow, look: Look) -> Cell:
    if row.last is None:
        return "never run", "$fd-faint"
    return word_cell(row.last.code, row.last.named)


def _when(row: FlowRow, look: Look) -> Cell:
    last = row.last
    if last is None:
        return "", ""
    if not last.is_final:
        seconds = between(last.started_us, None, look.now_us)
        return duration(seconds, look.dash), ""
    return ago(last.ended_us or last.created_us, look.now_us), "$fd-muted"


def _runner(row: FlowRow, look: Look) -> Cell:
    return clean(row.runner or look.dash, 40, ascii_only=look.symbols.ascii), "$fd-muted"


def _where(row: FlowRow, look: Look) -> Cell:
    return clean(row.target or row.key, 300, ascii_only=look.symbols.ascii), "$fd-faint"


def problems_text(problems: Sequence[Problem]) -> str:
    """Return in few words what could not be looked at: folders of the user's first."""
    first = min(problems, key=lambda problem: problem.file.suffix == ".py")
    name = clean(first.file.name, 30)
    rest = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    if first.file.suffix == ".py":
        return f"{name}{rest} cannot be read as Python"
    return f"{name}: {clean(first.message, 60)}{rest}"


FLOW_COLUMNS: Final[tuple[Column[FlowRow], ...]] = (
    Column(
        "flow",
        "Flow",
        _name,
        width=16,
        grow=3,
        most=40,
        align="middle",
        order="name",
        fits=True,
        first=True,
    ),
    Column(
        "history",
        "History",
        _no_text,
        width=_LEAST_STRIP,
        grow=2,
        most=_WHOLE_STRIP,
        drop=3,
        gap=2,
        paint=_history,
    ),
    Column("ok", "ok%", _success, width=5, drop=4, align="right", order="success"),
    Column("p50", "p50", _p50, width=7, drop=5, align="right", order="p50"),
    Column("glyph", "", _glyph, width=1, gap=2),
    Column("state", "Last run", _state, width=11, order="last"),
    Column("when", "", _when, width=9, align="right"),
    Column("runner", "Runner", _runner, width=10, drop=6, gap=2),
    Column("where", "Where", _where, width=24, grow=2, most=60, drop=9, since=130, align="middle"),
)


def is_live(row: FlowRow) -> bool:
    """Say whether the row shows a growing time."""
    return row.last is not None and not row.last.is_final
