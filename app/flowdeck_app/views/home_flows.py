"""Flows as table rows: history, success, median, last run, runner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.views.columns import Cell, Column
from flowdeck_app.views.progress import history_content
from flowdeck_app.views.states import glyph_cell, word_cell
from flowdeck_app.views.text import clean
from flowdeck_app.views.times import ago, between, duration

if TYPE_CHECKING:
    from textual.content import Content

    from flowdeck_app.flow_list import FlowRow
    from flowdeck_app.views.look import Look

#: Runs in a history strip.
HISTORY: Final = 24


def _name(row: FlowRow, look: Look) -> Cell:
    return clean(row.name, 300, ascii_only=look.symbols.ascii), "$fd-strong"


def _history(row: FlowRow, look: Look, cells: int) -> Content:
    points = row.record.history if row.record is not None else ()
    return history_content(points, cells, look)


def _no_text(row: FlowRow, look: Look) -> Cell:
    return "", ""


def _success(row: FlowRow, look: Look) -> Cell:
    if row.success is None:
        return look.symbols.dash, "$fd-faint"
    text = f"{row.success:.0%}"
    return text, "" if row.success >= 0.9 else "$fd-failed"


def _p50(row: FlowRow, look: Look) -> Cell:
    if row.p50 is None:
        return look.symbols.dash, "$fd-faint"
    return duration(row.p50, look.symbols.dash), ""


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
        return duration(seconds, look.symbols.dash), ""
    return ago(last.ended_us or last.created_us, look.now_us), "$fd-muted"


def _runner(row: FlowRow, look: Look) -> Cell:
    return clean(row.runner or look.symbols.dash, 40, ascii_only=look.symbols.ascii), "$fd-muted"


def _where(row: FlowRow, look: Look) -> Cell:
    return clean(row.target or row.key, 300, ascii_only=look.symbols.ascii), "$fd-faint"


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
        "history", f"Last {HISTORY} runs", _no_text, width=HISTORY, drop=3, gap=2, paint=_history
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
