"""Schedules as table rows, and the cells that the command line shows as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing import states, times
from flowdeck_app.drawing.cells import Cell, clean
from flowdeck_app.drawing.columns import Column
from flowdeck_app.drawing.signs import SIGNS, Kind

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_app.schedules.overview import ScheduleView

_WRONG: Final = SIGNS[Kind.FAILED].style


def next_text(view: ScheduleView, look: Look) -> str:
    """Return when it is due next, or that nothing starts it."""
    if view.schedule.paused:
        return "paused"
    if view.trouble:
        return "not in force"
    return times.calendar(view.next_us, look.now_us, look.zone, dash=look.dash)


def last_cell(view: ScheduleView, look: Look) -> Cell:
    """Return the state of its last run; that none could be started, if that is what came last."""
    newest = view.firings[0] if view.firings else None
    if newest is not None and newest.did == "failed":
        return f"{look.symbols.of(Kind.FAILED)} not started", _WRONG
    if view.last is not None:
        return states.name_cell(view.last.code, view.last.named, look)
    return ("deleted", "") if newest is not None and newest.run else (look.dash, "")


def missed_cell(view: ScheduleView, look: Look) -> Cell:
    """Return how many runs were missed in the last days."""
    if not view.missed_us:
        return look.dash, ""
    return str(len(view.missed_us)), SIGNS[Kind.RETRYING].style


def _text(text: str, look: Look) -> str:
    return clean(text, 300, newline=" ", ascii_only=look.symbols.ascii)


def _name(view: ScheduleView, look: Look) -> Cell:
    return view.schedule.name, "$fd-muted" if view.schedule.paused else "$fd-strong"


def _next(view: ScheduleView, look: Look) -> Cell:
    style = "$fd-muted" if view.schedule.paused else _WRONG if view.trouble else ""
    return next_text(view, look), style


def _ended(view: ScheduleView, look: Look) -> Cell:
    if view.last is None:
        return look.dash, "$fd-muted"
    us = view.last.started_us or view.last.created_us
    return times.moment(us, look.now_us, look.times, look.zone), "$fd-muted"


def _said(view: ScheduleView, look: Look) -> Cell:
    if view.trouble:
        return _text(view.trouble, look), _WRONG
    newest = view.firings[0] if view.firings else None
    said = newest.said if newest is not None else None
    if said and newest is not None:
        return _text(f"{newest.did}: {said}", look), _WRONG if newest.did == "failed" else ""
    return _text(view.schedule.target, look), "$fd-muted"


SCHEDULE_COLUMNS: Final[tuple[Column[ScheduleView], ...]] = (
    Column("name", "Schedule", _name, 12, grow=2, most=30, align="middle", fits=True, first=True),
    Column("when", "When", lambda view, look: (view.schedule.when, ""), 10, grow=1, most=24, first=True,
           fits=True, gap=2),
    Column("next", "Next", _next, 12, fits=True, gap=2),
    Column("last", "Last", last_cell, 13, gap=2),
    Column("ended", "Started", _ended, 9, most=12, drop=4),
    Column("missed", "Missed", missed_cell, 6, align="right", drop=1),
    Column("overlap", "Overlap", lambda view, look: (view.schedule.overlap, "$fd-muted"), 7, drop=5,
           gap=2),
    Column("said", "What", _said, 20, grow=6, drop=2, gap=2),
)  # fmt: skip
