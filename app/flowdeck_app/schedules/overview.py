"""What became of a schedule: its last run, when it is due next, and which runs were missed."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.schedules.cron import due_times
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from flowdeck_app.schedules.definition import Firing, Schedule
    from flowdeck_app.schedules.keeping import Schedules
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: How far back is looked for runs that were missed.
SPAN: Final = timedelta(days=7)
#: How late a start may be before it counts as missed, and how early a clock may go off.
_LATE_US: Final = 60_000_000
_EARLY_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule and what became of it.

    Attributes:
        schedule: it.
        trouble: why it is not in force although it should be; ``None``: it is, or it is paused.
        next_us: when it is due next; ``None``: it is paused.
        missed_us: when it was due in the last days and nothing happened, oldest first.
        firings: what happened, newest first.
        last: the last run that it started, if that is in the record.
    """

    schedule: Schedule
    trouble: str | None
    next_us: int | None
    missed_us: tuple[int, ...]
    firings: tuple[Firing, ...]
    last: FlowRunRecord | None


def look_at(
    schedules: Schedules, schedule: Schedule, reader: Reader, now_us: int,
    zone: tzinfo | None = None,
) -> ScheduleView:  # fmt: skip
    """Return what became of a schedule.

    Args:
        schedules: of its record.
        schedule: it.
        reader: of its record.
        now_us: the time.
        zone: time zone; default: that of this machine.
    """
    firings = schedules.files.firings(schedule.name)
    coming = next_times(schedule, now_us, 1, zone)
    started = next((firing for firing in reversed(firings) if firing.run), None)
    return ScheduleView(
        schedule,
        None if schedule.paused else schedules.trouble(schedule),
        coming[0] if coming else None,
        missed(schedule, (firing.us for firing in firings), now_us, zone),
        tuple(reversed(firings)),
        reader.run_by_uid(started.run) if started is not None and started.run else None,
    )


def next_times(
    schedule: Schedule, now_us: int, count: int, zone: tzinfo | None = None
) -> list[int]:
    """Return when it is due next; nothing while it is paused."""
    if schedule.paused:
        return []
    coming = due_times(schedule.cron, _time(now_us), schedule.clockwork, zone)
    return [_us(time) for time in islice(coming, count)]


def missed(
    schedule: Schedule, happened: Iterable[int], now_us: int, zone: tzinfo | None = None
) -> tuple[int, ...]:
    """Return when it was due and nothing happened, oldest first.

    A time counts as kept if anything happened from then until the next time.

    Args:
        schedule: it.
        happened: microseconds of all firings, in order.
        now_us: the time.
        zone: time zone; default: that of this machine.
    """
    if schedule.paused:
        return ()
    seen: Sequence[int] = sorted(happened)
    start = max(_time(schedule.since_us), _time(now_us) - SPAN)
    found: list[int] = []
    before: int | None = None
    for time in due_times(schedule.cron, start, schedule.clockwork, zone):
        due = _us(time)
        if before is not None and not _is_any(seen, before - _EARLY_US, due - _EARLY_US):
            found.append(before)
        if due + _LATE_US > now_us:
            break
        before = due
    return tuple(found)


def _is_any(seen: Sequence[int], first: int, end: int) -> bool:
    place = bisect.bisect_left(seen, first)
    return place < len(seen) and seen[place] < end


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _us(time: datetime) -> int:
    return round(time.timestamp()) * 1_000_000


def to_json(view: ScheduleView) -> dict[str, Any]:
    """Return it as ``--json`` has it."""
    schedule = view.schedule
    return {
        "name": schedule.name,
        "target": schedule.target,
        "cron": schedule.cron,
        "every": schedule.every,
        "with": schedule.clockwork,
        "overlap": schedule.overlap,
        "paused": schedule.paused,
        "trouble": view.trouble,
        "folder": schedule.folder,
        "python": schedule.python,
        "runner": schedule.runner,
        "tags": [*schedule.tags, schedule.tag],
        "created": iso(schedule.created_us),
        "next": None if view.next_us is None else iso(view.next_us),
        "missed": [iso(us) for us in view.missed_us],
        "last_run": None
        if view.last is None
        else {"id": view.last.id, "uid": view.last.uid, "state": view.last.state},
        "last": firing_json(view.firings[0]) if view.firings else None,
    }


def firing_json(firing: Firing) -> dict[str, Any]:
    """Return what happened once as ``--json`` has it."""
    return {
        "at": iso(firing.us),
        "did": firing.did,
        "by_hand": firing.by_hand,
        "run": firing.run,
        "said": firing.said,
    }
