"""Schedules in the app: the list, pausing, removing, all of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from run_screen_store import add_hostile, fill

from flowdeck_app.schedules.definition import Schedule, ScheduleFiles
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.screens.schedules import screen as module
from flowdeck_app.screens.schedules.screen import SchedulesScreen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio


@pytest.fixture
def asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Three schedules, and a clock work that only writes down what it is asked."""
    fill(home).close()
    files = ScheduleFiles(home)
    for name, paused in (("load", False), ("poll", False), ("zz-x", True)):
        files.save(
            Schedule(
                name=name, target="[/foo] etl.py:etl", cron="0 6 * * mon", clockwork="systemd",
                folder="/flows", python="/bin/python", paused=paused,
            )
        )  # fmt: skip
    calls: list[Any] = []
    for name in ("pause", "resume", "remove"):
        monkeypatch.setattr(
            module.Schedules, name, lambda self, given, name=name: calls.append((name, given))
        )
    monkeypatch.setattr(module.Schedules, "trouble", lambda self, schedule: None)
    return calls


async def shown(app: FlowdeckApp, pilot: Pilot[Any]) -> SchedulesScreen:
    await pilot.press("4")
    await settle(pilot, lambda: isinstance(app.screen, SchedulesScreen))
    screen = app.screen
    assert isinstance(screen, SchedulesScreen)
    await settle(pilot, lambda: screen.table.loaded and screen.current is not None)
    return screen


async def test_4_lists_schedules_and_p_pauses_and_D_removes(
    app_for: Callable[..., Any], asked: list[Any]
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await shown(app, pilot)
        text = screen_text(app)
        assert "3 schedules" in text
        assert "0 6 * * mon" in text
        assert "[/foo] et" in text
        await pilot.press("p")
        await settle(pilot, lambda: len(asked) == 1)
        await pilot.press("G")
        await settle(pilot, lambda: screen.current is not None and screen.current.schedule.paused)
        await pilot.press("p")
        await settle(pilot, lambda: len(asked) == 2)
        await pilot.press("D")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await settle(pilot, lambda: len(asked) == 3)
    assert asked == [("pause", "load"), ("resume", "zz-x"), ("remove", "zz-x")]


async def test_p_puts_what_somebody_removed_in_force_again(
    app_for: Callable[..., Any], asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Schedules, "trouble", lambda self, schedule: "x.timer is gone")
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await shown(app, pilot)
        text = screen_text(app)
        assert "not in force" in text
        assert "x.timer is gone" in text
        await pilot.press("p")
        await settle(pilot, lambda: asked == [("resume", "load")])


async def test_enter_shows_all_of_a_schedule_that_has_no_run(
    app_for: Callable[..., Any], asked: list[Any]
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        await shown(app, pilot)
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        await settle(pilot, lambda: "overlap" in screen_text(app))
        assert "[/foo] etl.py:etl" in screen_text(app)


async def test_no_schedules(app_for: Callable[..., Any], home: Path) -> None:
    add_hostile(fill(home))
    app = app_for()
    async with app.run_test(size=(60, 15)) as pilot:
        await pilot.press("4")
        await settle(pilot, lambda: "No schedules" in screen_text(app))
