"""The history by flow and by day, with clock times and causes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, SECOND, ZONE, run_row
from app_harness import come_to_snapshot, screen_text, settle
from click.testing import CliRunner
from run_screen_store import FAILED_RUN, LIVE, fill

from flowdeck_app.cli.root import flowdeck
from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.columns import lay_out, row_content
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.times import by_the_clock
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.runs.screen import RunsScreen
from flowdeck_app.views.run_groups import day_of, grouped, heading_line
from flowdeck_app.views.runs import RUN_COLUMNS
from flowdeck_store.read.runs import RunPlace
from flowdeck_store.states import COMPLETED, FAILED, RUNNING

if TYPE_CHECKING:
    from pathlib import Path

LOOK = Look(NOW, zone=ZONE)
HOUR = 3600 * SECOND
DAY = 24 * HOUR
PLACES = [
    RunPlace(9, "etl", NOW - HOUR, RUNNING, None),
    RunPlace(8, "sync", NOW - 2 * HOUR, FAILED, None),
    RunPlace(7, "etl", NOW - DAY, COMPLETED, None),
    RunPlace(6, "etl", NOW - 400 * DAY, COMPLETED, "Cached"),
]


class TestTimes:
    @pytest.mark.parametrize(
        ("ago", "long", "short"),
        [(HOUR, "today 09:42", "09:42"), (DAY, "yesterday 10:42", "yesterday"),
         (13 * DAY, "9 Nov 10:42", "9 Nov"), (400 * DAY, "18 Oct 2025", "Oct 2025")],
    )  # fmt: skip
    def test_are_by_the_clock_in_the_room_there_is(self, ago: int, long: str, short: str) -> None:
        assert by_the_clock(NOW - ago, NOW, UTC) == long
        assert by_the_clock(NOW - ago, NOW, UTC, 9) == short

    def test_days_have_names(self) -> None:
        days = [day_of(place.us, NOW, ZONE) for place in PLACES]
        assert days == ["Today", "Today", "Yesterday", "Sat 18 Oct 2025"]


class TestGroups:
    def test_runs_stand_below_what_they_have_in_common(self) -> None:
        ids, headings = grouped(PLACES, "flow", (), NOW, ZONE)
        first, second = headings.values()
        assert [*ids] == [first.key, 9, 7, 6, second.key, 8]
        assert (first.label, sum(first.counts), first.first) == ("etl", 3, 9)
        assert first.key < 0

    def test_folded_ones_are_their_heading_alone(self) -> None:
        ids, headings = grouped(PLACES, "day", (), NOW, ZONE)
        today = next(iter(headings))
        folded, again = grouped(PLACES, "day", {today}, NOW, ZONE)
        assert [*folded] == [key for key in ids if key not in {9, 8}]
        assert again[today].folded

    def test_headings_say_how_many_there_are_of_which_state(self) -> None:
        _, headings = grouped(PLACES, "flow", (), NOW, ZONE)
        line = heading_line(next(iter(headings.values())), LOOK, 80).plain
        assert line.startswith("[-] etl ")
        assert "3 runs" in line
        assert "▸ 1" in line
        assert width(heading_line(next(iter(headings.values())), LOOK, 20).plain) <= 20


def test_a_row_says_what_failed_without_boilerplate() -> None:
    row = run_row(1, code=FAILED)
    row = type(row)(row.record, "fetch[7]", 120.0, None, "ConnectionError: 502 for page 7")
    line = row_content(lay_out(RUN_COLUMNS, 200), row, LOOK).plain
    assert "fetch[7] ConnectionError: 502 for page 7" in line
    assert "today 09:42" in line


@pytest.mark.anyio
async def test_a_key_groups_the_history(app_for: Callable[..., Any], home: Path) -> None:
    fill(home).close()
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        app.show_mode("runs")
        await settle(pilot, lambda: isinstance(app.screen, RunsScreen))
        screen = app.screen
        await settle(pilot, lambda: screen.table.count == 4)
        await pilot.press("b")
        await settle(pilot, lambda: "[-] etl" in screen_text(app))
        assert "by flow" in screen_text(app)
        assert screen.table.n_runs == 4
        await pilot.press("b")
        await settle(pilot, lambda: "[-] Yesterday" in screen_text(app))
        await come_to_snapshot(pilot, "run_groups", "runs-by-day-100x30")
        assert screen.table.key_at(0) < 0
        await pilot.press("g", "space")
        assert not screen.table.marks
        assert await screen.table.select_key(FAILED_RUN)
        await pilot.press("h")  # folds what the run is in
        await settle(pilot, lambda: "[+] Today" in screen_text(app))
        await settle(pilot, lambda: screen.table.current.heading is not None)
        assert screen.current_row is None
        assert screen.chosen_ids() == ()
        await pilot.press("enter")
        await settle(pilot, lambda: "[-] Today" in screen_text(app))
        await pilot.press("a")
        await settle(pilot, lambda: screen.table.count == 2)
        await pilot.press("a", "asterisk")
        await settle(pilot, lambda: LIVE in screen.table.marks)
        assert min(screen.table.marks) > 0
        assert await screen.table.select_key(LIVE)
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))


def test_the_command_groups_them_too(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    fill(home).close()
    monkeypatch.setenv("FLOWDECK_HOME", str(home))
    monkeypatch.setattr("flowdeck_app.cli.record.look_after_dead", lambda: None)
    result = CliRunner().invoke(flowdeck, ["runs", "--by", "flow"], prog_name="flowdeck")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if " run" in line and "Run  " not in line][:2] == [
        "nothing", "etl",
    ]  # fmt: skip
    assert CliRunner().invoke(flowdeck, ["runs", "--by", "day", "--json"]).exit_code == 2
