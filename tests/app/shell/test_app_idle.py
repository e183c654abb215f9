"""What stands still costs nothing: a dialog is not drawn again and again because of what is behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, SECOND
from app_harness import screen_text, settle
from run_screen_store import LIVE, fill
from textual.screen import Screen

from flowdeck_app.live import StoreChanged
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.run.screen import RunScreen

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of screens that were drawn, each time."""
    found: list[str] = []
    draw = Screen._compositor_refresh

    def noted(screen: Screen[Any]) -> None:
        found.append(type(screen).__name__)
        draw(screen)

    monkeypatch.setattr(Screen, "_compositor_refresh", noted)
    return found


@pytest.mark.parametrize("dialog", ["confirm", "launch", "palette"])
async def test_a_dialog_over_a_screen_whose_clocks_tick_is_drawn_once(
    app_for: Callable[..., FlowdeckApp], home: Path, drawn: list[str], dialog: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("flowdeck_app.screens.launch.screen.inspect", lambda target, folder: 1 / 0)
    fill(home).close()
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_run(LIVE)
        await settle(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None
        )
        screen = app.screen
        assert isinstance(screen, RunScreen)
        if dialog == "confirm":
            app.confirm("Really?", lambda: None)
        elif dialog == "launch":
            app.open_launch("flows.py:shop")
        else:
            app.action_app_palette()
        await settle(pilot, lambda: app.screen is not screen and app.screen.is_mounted)
        before = -1
        while before != len(drawn):  # until nothing is drawn any more
            before = len(drawn)
            await pilot.pause(0.7)  # longer than a cursor would blink
        for _ in range(5):
            screen.call_later(screen.tick)
            screen.table.call_later(screen.table._tick)
            await pilot.pause(0.1)
        assert drawn[before:] == []


async def test_news_are_still_drawn_behind_a_dialog(
    app_for: Callable[..., FlowdeckApp], home: Path
) -> None:
    builder = fill(home)
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_run(LIVE)
        await settle(
            pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.run is not None
        )
        await settle(pilot, lambda: "RUNNING" in screen_text(app))
        app.confirm("Really?", lambda: None)
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        builder.db.execute(
            "UPDATE flow_runs SET state = 3, ended_us = ? WHERE id = ?", (NOW - SECOND, LIVE)
        )
        builder.db.commit()
        app.post_message(StoreChanged(frozenset({LIVE})))
        await settle(pilot, lambda: "COMPLETED" in screen_text(app))
        assert "Really?" in screen_text(app)
    builder.close()
