"""When a schedule is due, and that systemd's timers go off at just these times."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowdeck_app.schedules.calendar import calendar_events
from flowdeck_app.schedules.cron import BadTime, Clockwork, cron_of, cron_of_every, due_times

BERLIN = ZoneInfo("Europe/Berlin")


def due(cron: str, after: datetime, clockwork: Clockwork, count: int = 4) -> list[str]:
    zone = after.tzinfo
    times = islice(due_times(cron_of(cron), after, clockwork, zone), count)
    return [time.astimezone(zone).strftime("%d %H:%M %z") for time in times]


@pytest.mark.parametrize(
    ("every", "cron"),
    [
        ("1m", "* * * * *"), ("10m", "*/10 * * * *"), ("60m", "0 * * * *"), ("6 h", "0 */6 * * *"),
        ("24h", "0 0 * * *"), ("1d", "0 0 * * *"), ("1W", "0 0 * * 0"),
    ],
)  # fmt: skip
def test_an_interval_is_a_cron_expression(every: str, cron: str) -> None:
    assert cron_of_every(every) == cron


@pytest.mark.parametrize(
    ("every", "said"),
    [
        ("7m", "such as 6m or 10m"), ("5h", "such as 4h or 6h"), ("90m", "such as 1h or 2h"),
        ("2d", "such as 1d or 1w"), ("30s", "no interval"), ("", "no interval"), ("0m", "cannot"),
    ],
)  # fmt: skip
def test_an_interval_that_no_clock_keeps_is_refused_with_those_that_are_near(
    every: str, said: str
) -> None:
    with pytest.raises(BadTime, match=said):
        cron_of_every(every)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 6 * *", "five fields"), ("@reboot", "five fields"), ("61 * * * *", "bad minute"),
        ("0 0 * * 5L", "'5L' is no day of the week"), ("0 0 * * 1#2", "no day of the week"),
        ("5/15 * * * *", "'5/15' is no minute"), ("0 0 31 2 *", "never due"), ("* * * * *; rm", "five"),
        ("0\n* * * $x", "'\\$x' is no day"),
    ],
)  # fmt: skip
def test_what_not_every_cron_understands_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadTime, match=said):
        cron_of(text)


def test_names_and_shorthands_are_understood() -> None:
    assert cron_of("@Daily") == "0 0 * * *"
    assert cron_of("  0 6  * jan MON-fri ") == "0 6 * jan MON-fri"
    assert calendar_events("0 6 * jan MON-fri") == ["Mon,Tue,Wed,Thu,Fri *-01-* 06:00:00"]


def test_day_of_the_month_or_of_the_week_is_two_events_for_systemd() -> None:
    assert calendar_events("0 6 1 * mon") == ["*-*-01 06:00:00", "Mon *-*-* 06:00:00"]
    assert calendar_events("0 6 */2 * mon") == [
        "Mon *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 06:00:00"
    ]


def test_an_hour_that_is_not_there() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
    assert due("30 2 * * *", before, "systemd", 1) == ["30 02:30 +0200"]
    assert due("30 2 * * *", before, "crontab", 1) == ["29 03:00 +0200"]


def test_an_hour_that_comes_twice() -> None:
    before = datetime(2026, 10, 25, 1, 50, tzinfo=BERLIN)
    once = ["25 02:00 +0200", "25 02:30 +0200", "25 03:00 +0100", "25 03:30 +0100"]
    twice = ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"]
    assert due("*/30 * * * *", before, "systemd") == once
    assert due("*/30 * * * *", before, "crontab") == twice
    assert due("30 2 * * *", before, "crontab", 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    pair = st.tuples(number, number).map(sorted).map(lambda both: f"{both[0]}-{both[1]}")
    step = st.tuples(st.one_of(st.just("*"), pair), st.integers(1, 9)).map(
        lambda both: f"{both[0]}/{both[1]}"
    )
    several = st.lists(st.one_of(number.map(str), pair, step), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), several)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cron=st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(
        " ".join
    ),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    day=st.sampled_from([(3, 28), (3, 7), (4, 4), (10, 3), (10, 24), (10, 31), (6, 1)]),
)
def test_systemd_itself_says_the_same_times(cron: str, zone: str, day: tuple[int, int]) -> None:
    after = datetime(2026, *day, 22, tzinfo=ZoneInfo(zone))
    ours = [f"{time:%Y-%m-%d %H:%M:%S}" for time in islice(due_times(cron_of(cron), after, "systemd",
                                                                    ZoneInfo(zone)), 5)]  # fmt: skip
    theirs: set[str] = set()
    for event in calendar_events(cron_of(cron)):
        theirs |= _elapses(event, after, zone)
    assert ours == sorted(theirs)[: len(ours)]


def _elapses(event: str, after: datetime, zone: str) -> set[str]:
    base = f"--base-time={after:%Y-%m-%d %H:%M:%S}"
    told = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=8", base, event],
        capture_output=True, text=True, check=True, env={**os.environ, "TZ": zone},
    ).stdout  # fmt: skip
    in_utc = re.findall(r"\(in UTC\): \w+ ([\d-]+ [\d:]+)", told)
    return set(in_utc or re.findall(r"(?:elapse|#\d+): \w+ ([\d-]+ [\d:]+) UTC", told))


def test_times_come_in_utc_and_after_the_moment() -> None:
    moment = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    assert next(due_times("0 12 * * *", moment, "systemd", UTC)) == datetime(
        2026, 6, 2, 12, tzinfo=UTC
    )
    assert next(due_times("0 12 * * *", moment, "crontab", UTC)) == datetime(
        2026, 6, 2, 12, tzinfo=UTC
    )
