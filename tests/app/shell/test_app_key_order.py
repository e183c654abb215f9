"""Keys that arrive in one burst (a slow line, a paste without brackets) act in the order typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from textual import events

from flowdeck_app.events.key_order import LONGEST
from flowdeck_app.screens.home.screen import HomeScreen
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.widgets.query_bar import QueryBar, QueryInput
from flowdeck_app.widgets.toggles import PlainInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = pytest.mark.anyio

FLOW = """
from flowdeck import flow


@flow
def greet(name: str = "you"):
    ...
"""


@pytest.fixture
def opened(app_for: Callable[..., FlowdeckApp], home: Path) -> FlowdeckApp:
    folder = home.parent / "work"
    folder.mkdir()
    (folder / "greet.py").write_text(FLOW)
    return app_for(folder=folder)


def burst(app: FlowdeckApp, *keys: str) -> None:
    """Put all keys into the app's queue before it looks at the first."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def at_home(app: FlowdeckApp, pilot: Pilot[Any]) -> HomeScreen:
    await settle(pilot, lambda: "never run" in screen_text(app))
    screen = app.screen
    assert isinstance(screen, HomeScreen)
    return screen


async def test_editing_keys_act_between_the_letters(opened: FlowdeckApp) -> None:
    async with opened.run_test(size=(100, 30)) as pilot:
        screen = await at_home(opened, pilot)
        await pilot.press("slash")
        box = screen.query_one("#bar").query_one(QueryInput)
        await settle(pilot, lambda: box.has_focus)
        burst(opened, *"world", "ctrl+a", *"hello ", "end", "!", "left", "backspace", "D")
        await settle(pilot, lambda: "D" in box.value)
        assert box.value == "hello worlD!"
        burst(opened, "ctrl+a", "ctrl+k", *"all new")
        await settle(pilot, lambda: box.value.endswith("new"))
        assert box.value == "all new"


async def test_letters_behind_the_key_that_opens_the_filter_are_its_text(
    opened: FlowdeckApp,
) -> None:
    async with opened.run_test(size=(100, 30)) as pilot:
        screen = await at_home(opened, pilot)
        burst(opened, "slash", *"frog", "escape", "slash", *"gre", "enter")
        bar = screen.query_one("#bar", QueryBar)
        await settle(pilot, lambda: bar.applied == "gre")
        assert opened.screen is screen


async def test_fields_of_the_launch_dialog_are_filled_in_order(opened: FlowdeckApp) -> None:
    async with opened.run_test(size=(100, 30)) as pilot:
        await at_home(opened, pilot)
        await pilot.press("r")
        await settle(pilot, lambda: isinstance(opened.focused, PlainInput))
        field = opened.focused
        assert isinstance(field, PlainInput)
        burst(
            opened, "ctrl+a", "ctrl+k", *"Ada", "tab", "tab", "shift+tab", "shift+tab", "end", "!"
        )
        await settle(pilot, lambda: field.value.endswith("!"))
        assert (field.value, opened.focused) == ("Ada!", field)
        burst(opened, "tab", *"xy", "shift+tab", "z")
        await settle(pilot, lambda: field.value.endswith("z"))
        assert field.value == "z"  # coming back selects it all; x and y mean nothing to a choice
        assert isinstance(opened.screen, LaunchScreen)


async def test_a_key_whose_widget_goes_away_does_not_hold_up_the_next(opened: FlowdeckApp) -> None:
    assert LONGEST < 1
    async with opened.run_test(size=(100, 30)) as pilot:
        home = await at_home(opened, pilot)
        await pilot.press("r")
        await settle(pilot, lambda: isinstance(opened.focused, PlainInput))
        burst(opened, "escape", "slash", "g")
        box = home.query_one("#bar").query_one(QueryInput)
        await settle(pilot, lambda: box.value == "g")
