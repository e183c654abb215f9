"""Times and durations as users read them."""

from __future__ import annotations

from datetime import UTC

import pytest
from app_data import NOW, SECOND

from flowdeck_app.drawing import times
from flowdeck_app.drawing.times import TimeMode
from flowdeck_app.views.logs import since

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (-1, "0ms"),
        (0.0, "0ms"),
        (0.0184, "18ms"),
        (0.02, "20ms"),
        (0.0994, "99ms"),
        (0.2, "0.2s"),
        (0.44, "0.4s"),
        (44.14, "44.1s"),
        (59.94, "59.9s"),
        (59.96, "1m 00s"),
        (124, "2m 04s"),
        (3599.6, "1h 00m"),
        (4320, "1h 12m"),
        (86_399.9, "1d 0h"),
        (273_600, "3d 4h"),
    ],
)
def test_durations_are_short(seconds: float | None, shown: str) -> None:
    assert times.duration(seconds) == shown
    assert len(shown) <= 7


@pytest.mark.parametrize(
    ("us", "shown"),
    [(0, "now"), (SECOND // 2, "now"), (48 * SECOND, "48s ago"), (200 * SECOND, "3m ago"),
     (12 * MINUTE, "12m ago"), (9 * HOUR, "9h ago"), (6 * DAY, "6d ago"), (-8 * SECOND, "in 8s"),
     (-90 * SECOND, "in 1m")],
)  # fmt: skip
def test_recent_times_are_relative(us: int, shown: str) -> None:
    assert times.ago(NOW - us, NOW) == shown


def test_times_become_absolute_after_a_week_and_on_demand() -> None:
    assert times.moment(NOW - 6 * DAY, NOW, TimeMode.RELATIVE, UTC) == "6d ago"
    assert times.moment(NOW - 8 * DAY, NOW, TimeMode.RELATIVE, UTC) == "14 Nov 10:42"
    assert times.moment(NOW - HOUR, NOW, TimeMode.ABSOLUTE, UTC) == "09:42:37"
    assert times.moment(NOW - 2 * DAY, NOW, TimeMode.ABSOLUTE, UTC) == "Fri 10:42"
    assert times.moment(NOW - 400 * DAY, NOW, TimeMode.ABSOLUTE, UTC) == "2025-10-18"
    assert times.moment(NOW, NOW, TimeMode.OFF, UTC) == ""
    assert times.moment(None, NOW) == "–"


def test_the_time_key_goes_through_all_modes() -> None:
    seen = [TimeMode.RELATIVE]
    while seen[-1].following not in seen:
        seen.append(seen[-1].following)
    assert set(seen) == set(TimeMode)


def test_a_time_beyond_the_calendar_does_not_raise() -> None:
    assert times.clock(10**19, UTC) == "00:00:00"


def test_time_goes_on_only_while_there_is_no_end() -> None:
    assert times.between(None, None, NOW) is None
    assert times.between(NOW - SECOND, None, NOW) == 1.0
    assert times.between(NOW - 9 * SECOND, NOW - 4 * SECOND, NOW) == 5.0
    assert times.between(NOW + SECOND, None, NOW) == 0.0


@pytest.mark.parametrize(
    ("seconds", "shown"), [(1.73, "+1.730"), (723.551, "+12:03.551"), (7384, "+2:03:04")]
)
def test_log_times_since_the_start_line_up(seconds: float, shown: str) -> None:
    assert since(seconds) == shown.rjust(10)


def test_what_ended_before_it_began_is_marked() -> None:
    assert times.duration(-0.5) == "0ms"  # two clocks that differ a little
    assert times.duration(-3600.0) == "clock?"


def test_times_of_day_carry_a_date_when_it_is_not_todays() -> None:
    assert times.calendar(NOW, NOW, UTC) == "10:42:37"
    assert times.calendar(NOW - DAY, NOW, UTC) == "Sat 10:42"
    assert times.calendar(NOW - 400 * DAY, NOW, UTC) == "2025-10-18"
    assert times.calendar(None, NOW) == "–"
    assert times.clock(NOW + 1234, UTC, fraction=3) == "10:42:37.001"
    assert times.full(NOW, zone=UTC) == "2026-11-22 10:42:37.000 UTC"
    assert times.full(10**30, zone=UTC).startswith("1970-01-01")
