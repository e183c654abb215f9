"""The replay on the screen of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from run_screen_steps import opened, to_tab
from run_screen_store import ago, fill

from flowdeck_app.screens.run.replay import Scrubber
from flowdeck_store.states import COMPLETED, FAILED, RUNNING

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]


@pytest.fixture
def played(home: Path) -> int:
    """A run of 100 s: one task from 10 to 30 s, one from 40 to 80 s that fails."""
    builder = fill(home)
    zero = 7200.0
    run = builder.run("old-crow", state=FAILED, created=ago(zero), started=ago(zero), seconds=100.0)
    for no, name, begin, end, code in ((1, "load", 10, 30, COMPLETED), (2, "send", 40, 80, FAILED)):
        builder.task(run, no, task=name, name=name, state=code, started=ago(zero - begin),
                     seconds=end - begin, created_us=ago(zero - begin))  # fmt: skip
        builder.state(run, no, RUNNING, us=ago(zero - begin))
        builder.state(run, no, code, us=ago(zero - end))
        builder.log(run, no, f"{name} works", us=ago(zero - begin - 1))
    builder.state(run, 0, RUNNING, us=ago(zero))
    builder.state(run, 0, FAILED, us=ago(zero - 100))
    builder.close()
    return run


async def test_every_tab_shows_the_moment_and_end_shows_the_run_as_it_is(
    app_for: AppFor, played: int
) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        app = pilot.app
        screen = await opened(app, pilot, played)

        def shown() -> str:
            return screen_text(app)

        await settle(pilot, lambda: "FAILED" in shown())
        await pilot.press("H")
        scrubber = screen.query_one(Scrubber)
        await settle(pilot, lambda: scrubber.playhead is not None and scrubber.has_focus)
        await settle(pilot, lambda: "RUNNING" in shown() and screen.table.count == 0)
        assert "REPLAY of the record" in shown()
        assert "space Play" in shown()
        assert not screen.can_cancel
        await pilot.press("right")  # the first task is made, and begins
        await settle(pilot, lambda: screen.table.count == 1)
        await settle(pilot, lambda: "running" in shown())
        assert "10.0s of 1m 40s" in shown()
        await pilot.press("right", "right")
        await settle(pilot, lambda: screen.table.count == 2)
        await to_tab(screen, pilot, "logs")
        await settle(pilot, lambda: "load works" in shown())
        assert "send works" not in shown()
        await pilot.press("left", "left", "left")
        await settle(pilot, lambda: "load works" not in shown())
        await pilot.press("end")
        await settle(pilot, lambda: "FAILED" in shown() and "send works" in shown())
        assert "REPLAY" not in shown()
        assert screen.moment_us is None


async def test_it_plays_at_a_speed_until_the_end(app_for: AppFor, played: int) -> None:
    async with app_for().run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot.app, pilot, played)
        await pilot.press("H")
        scrubber = screen.query_one(Scrubber)
        await settle(pilot, lambda: scrubber.playhead is not None)
        assert scrubber.speed == 5  # 100 s in at most 30
        await pilot.press("plus", "plus", "plus", "plus", "plus", "plus", "space")
        head = scrubber.playhead
        await settle(pilot, lambda: head.us == head.history.end_us)
        await settle(pilot, lambda: not scrubber.playing)
        await settle(pilot, lambda: "FAILED" in screen_text(pilot.app))
        await pilot.press("escape")
        assert scrubber.playhead is None
