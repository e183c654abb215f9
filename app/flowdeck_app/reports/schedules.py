"""Schedules as text: one line each, or everything about one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flowdeck.values.redaction import HIDDEN, concealed, is_hidden, names_in_force
from flowdeck_app.drawing import states, times
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.tables import TextColumn, facts, section, table
from flowdeck_app.schedules.overview import SPAN
from flowdeck_app.views.schedules import last_cell, missed_cell, next_text
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_app.schedules.definition import Firing
    from flowdeck_app.schedules.overview import ScheduleView
    from flowdeck_store.read.records import FlowRunRecord

_COLUMNS = (
    TextColumn("Schedule", least=10, middle=True),
    TextColumn("When", least=10),
    TextColumn("Next"),
    TextColumn("Last", least=9),
    TextColumn("Run", right=True, least=3),
    TextColumn("Missed", right=True),
    TextColumn("Overlap"),
    TextColumn("Target", least=12, middle=True),
    TextColumn("Trouble", least=8),
)
_SHOWN = 10


def schedule_table(views: Sequence[ScheduleView], look: Look) -> list[str]:
    """Return a heading and one line a schedule."""
    rows: list[Row] = [
        [
            (view.schedule.name, "bold"),
            view.schedule.when,
            next_text(view, look),
            last_cell(view, look),
            str(view.last.id) if view.last is not None else "",
            missed_cell(view, look),
            view.schedule.overlap,
            view.schedule.target,
            (view.trouble or "", SIGNS[Kind.FAILED].style),
        ]
        for view in views
    ]
    return table(_COLUMNS, rows, look)


def schedule_lines(
    view: ScheduleView, coming: Sequence[int], places: Sequence[str],
    runs: Mapping[str, FlowRunRecord], look: Look,
) -> list[str]:  # fmt: skip
    """Return everything about a schedule.

    Args:
        view: it, and what became of it.
        coming: when it is due, next first.
        places: what was written for systemd or cron.
        runs: those that it started, by uid.
        look: what the place can show.
    """
    schedule = view.schedule
    given = _shown({**schedule.values, **schedule.texts}, names_in_force())
    state = f"not in force: {view.trouble}" if view.trouble else "in force"
    state = "paused" if schedule.paused else state
    pairs = [
        ("target", schedule.target),
        ("when", f"{schedule.when} ({schedule.cron})" if schedule.every else schedule.when),
        ("state", state),
        ("overlap", schedule.overlap),
        ("parameters", json.dumps(given, ensure_ascii=False) if given else ""),
        ("runner", schedule.runner or ""),
        ("tags", ", ".join((*schedule.tags, schedule.tag))),
        ("folder", schedule.folder),
        ("python", schedule.python),
        ("with", schedule.clockwork),
    ]
    lines = [look.paint(one_line(schedule.name, 80), "title"), ""]
    lines += facts([(name, one_line(value, 1_000)) for name, value in pairs], look)
    lines += section("Next", [_minute(us, look) for us in coming], look)
    missing = [_minute(us, look) for us in view.missed_us[-_SHOWN:]]
    days = f"Missed in the last {SPAN.days} days: {len(view.missed_us)}"
    lines += section(days, missing, look)
    past = [firing_line(firing, runs, look) for firing in view.firings[:_SHOWN]]
    lines += section("Last", past, look)
    lines += section("Written", [one_line(place, 2_000) for place in places], look)
    return lines


def _minute(us: int, look: Look) -> str:
    return f"{times.local(us, look.zone):%a %Y-%m-%d %H:%M %Z}"


def firing_line(firing: Firing, runs: Mapping[str, FlowRunRecord], look: Look) -> str:
    """Return in one line what happened once."""
    when = times.calendar(firing.us, look.now_us, look.zone)
    run = runs.get(firing.run or "")
    if run is not None:
        state = states.painted_name(run.code, run.named, look)
        what = f"{state}  {one_line(run.name, 60)}  #{run.id}  {look.duration_of(run)}"
    elif firing.run:
        what = "its run was deleted"
    elif firing.did == "failed":
        what = look.paint("not started", SIGNS[Kind.FAILED].style)
    else:
        what = firing.did
    said = f"  {one_line(firing.said, 400)}" if firing.said else ""
    return f"{when}  {what}{said}{'  (by hand)' if firing.by_hand else ''}"


def _shown(value: Any, hides: Callable[[str], bool] | None) -> Any:
    """Return a parameter's value without what is secret in it."""
    if isinstance(value, dict):
        return {
            name: HIDDEN if is_hidden(name, each, hides) else _shown(each, hides)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_shown(each, hides) for each in value]
    return concealed(value) if isinstance(value, str) else value
