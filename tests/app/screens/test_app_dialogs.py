"""The palette, the help, messages and questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from app_data import HOSTILE
from app_harness import screen_text, settle
from app_sample import sample
from textual.widgets import OptionList

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing import theme
from flowdeck_app.screens.help import HelpScreen, help_rows
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.parts.message import MessageScreen

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]
Snapshot = Callable[..., Awaitable[str]]


# -- palette, help, dialogs ------------------------------------------------------------------


async def test_the_palette_lists_what_can_be_done_and_does_it(
    app_for: AppFor, snapshot: Snapshot
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await sample(app, pilot)
        await pilot.press("colon")
        await settle(pilot, lambda: "flowdeck cancel RUN" in screen_text(app))
        await snapshot(pilot, "palette")
        await pilot.press(*"cancel run")
        options = app.screen.query_one(OptionList)
        await settle(pilot, lambda: options.option_count == 1)
        await pilot.press("enter")
        await settle(pilot, lambda: screen.cancelled == 1)


async def test_the_palette_changes_the_theme(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        await pilot.press("colon", *"theme flowdeck-light")
        await settle(pilot, lambda: "Theme flowdeck-light" in screen_text(app))
        await pilot.press("enter")
        await settle(pilot, lambda: app.theme == theme.LIGHT)


async def test_the_help_lists_the_keys_of_the_screen_and_narrows(
    app_for: AppFor, snapshot: Snapshot
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        await pilot.press("question_mark")
        await settle(pilot, lambda: "The next row." in screen_text(app))
        await snapshot(pilot, "help")
        await pilot.press(*"cancel")
        await settle(pilot, lambda: "The next row." not in screen_text(app))
        assert "Cancel the task; asks first" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot, lambda: not isinstance(app.screen, HelpScreen))


async def test_sentences_of_the_help_go_on_below_where_they_do_not_fit(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        await sample(app, pilot)
        await pilot.press("question_mark", *"popup")
        await settle(pilot, lambda: "Close the popup" in screen_text(app))
        assert "unzoom, else go back." in screen_text(app)


def test_help_rows_without_a_match_are_none() -> None:
    assert help_rows({}, "no such thing at all") == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_any_text_can_be_shown_asked_said_and_copied(app_for: AppFor, text: str) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await sample(app, pilot)
        app.show_message(text, text, error=True)
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        await pilot.press("y")
        await settle(pilot, lambda: app.clipboard == text)
        await pilot.press("escape")
        app.confirm(text, lambda: None, detail=text, yes=text[:50])
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        app.say(text or "nothing")
        await settle(pilot, lambda: bool(app._notifications))
        await pilot.pause()


async def test_a_question_acts_on_yes_and_not_on_no(app_for: AppFor, snapshot: Snapshot) -> None:
    app = app_for()
    done: list[int] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await sample(app, pilot)
        for keys in (["n"], ["escape"], ["enter"]):
            app.confirm("Cancel run brave-otter of etl_daily?", lambda: done.append(1))
            await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press(*keys)
            await settle(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert done == []
        app.confirm(
            "Cancel run brave-otter of etl_daily?", lambda: done.append(1),
            detail="8 tasks are running.", yes="Cancel run", danger=True,
        )  # fmt: skip
        await settle(pilot, lambda: "Cancel run" in screen_text(app))
        await snapshot(pilot, "confirm")
        await pilot.press("y")
        await settle(pilot, lambda: done == [1])


async def test_the_same_toast_is_not_shown_twice_in_a_row(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.say("Copied 3 lines")
        app.say("Copied 3 lines")
        app.say("Copied 4 lines")
        await settle(pilot, lambda: len(app._notifications) == 2)


async def test_every_dialog_can_be_drawn_in_ascii(app_for: AppFor) -> None:
    app = app_for(ascii_only=True)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await sample(app, pilot)
        app.say("Copied 3 lines")
        await settle(pilot, lambda: "Copied 3 lines" in screen_text(app))
        assert screen_text(app).isascii()
        await pilot.press("question_mark")
        await settle(pilot, lambda: "The next row." in screen_text(app))
        assert screen_text(app).isascii()
        await pilot.press("escape")
        app.show_message("a", "b", error=True)
        await settle(pilot, lambda: "esc close" in screen_text(app))
        assert screen_text(app).isascii()
        await pilot.press("escape")
        app.confirm("Cancel it?", lambda: None, danger=True)
        await settle(pilot, lambda: "Cancel it?" in screen_text(app))
        assert screen_text(app).isascii()
        await pilot.press("escape", "colon")
        await settle(pilot, lambda: "flowdeck cancel RUN" in screen_text(app))
        assert screen_text(app).isascii()
