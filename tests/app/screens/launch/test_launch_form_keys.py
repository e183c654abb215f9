"""Keys, pastes and leaving in the launch dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from textual import events
from textual.widgets import Input, TextArea

from flowdeck.launch.inspection import inspect_target
from flowdeck_app.actions import REGISTRY
from flowdeck_app.screens.launch.json_editor import JsonScreen
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.widgets.query_bar import QueryInput

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flowdeck.launch.inspection import Inspection
    from flowdeck_app.app import FlowdeckApp

FLOWS = '''
from flowdeck import flow


@flow
def shop(text: str, more: list[int] = [1]):
    """Load the orders of a day."""
'''


@pytest.fixture(scope="module")
def form(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    folder = tmp_path_factory.mktemp("flows")
    (folder / "flows.py").write_text(FLOWS)
    return inspect_target("flows.py:shop", cwd=folder)


async def opened(app: FlowdeckApp, pilot: Pilot[Any]) -> LaunchScreen:
    app.open_launch("flows.py:shop")
    await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))
    screen = app.screen
    assert isinstance(screen, LaunchScreen)
    await settle(pilot, lambda: screen._begun_with is not None)
    return screen


@pytest.fixture
def app(
    app_for: Callable[..., FlowdeckApp], form: Inspection, monkeypatch: pytest.MonkeyPatch
) -> FlowdeckApp:
    monkeypatch.setattr("flowdeck_app.screens.launch.screen.inspect", lambda target, folder: form)
    return app_for()


def keys_of(widget: type[Input | TextArea]) -> set[str]:
    return {key for binding in widget.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]


def test_no_key_of_forms_is_one_that_a_text_field_has_itself() -> None:
    for action in REGISTRY:
        if action.scope == "form":
            assert not keys_of(Input) & set(action.keys), action.id
    for name in ("form.run", "form.last", "form.cancel"):  # those beside the text of all values
        assert not keys_of(TextArea) & set(REGISTRY[name].keys), name


@pytest.mark.anyio
async def test_the_text_of_all_values_opens_from_within_a_field(app: FlowdeckApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(app, pilot)
        assert isinstance(app.focused, Input)
        await pilot.press("a", "b", "ctrl+a", "x", "ctrl+e", "y")
        assert app.focused.value == "xaby"
        await pilot.press("ctrl+t")
        await settle(pilot, lambda: isinstance(app.screen, JsonScreen))
        await settle(pilot, lambda: '"text": "xaby"' in app.screen.query_one(TextArea).text)
        await pilot.press("escape")
        await settle(pilot, lambda: app.screen is screen)


@pytest.mark.anyio
async def test_all_lines_of_a_paste_arrive(app: FlowdeckApp) -> None:
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        screen = await opened(app, pilot)
        app.post_message(events.Paste("one\r\ntwo\nthree\n"))
        await settle(pilot, lambda: app.focused.value == "one\ntwo\nthree")  # type: ignore[union-attr]
        assert screen._form is not None
        await settle(pilot, lambda: screen._form.given()["text"] == "one\ntwo\nthree")  # type: ignore[union-attr]
        await settle(pilot, lambda: "3 lines pasted, kept" in screen_text(app))
        assert "one␊two␊three" in screen_text(app)
        await pilot.press("ctrl+t")
        await settle(pilot, lambda: isinstance(app.screen, JsonScreen))
        await settle(pilot, lambda: r"one\ntwo\nthree" in app.screen.query_one(TextArea).text)


@pytest.mark.anyio
async def test_a_filter_takes_pasted_lines_as_words(app: FlowdeckApp) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("slash")
        await settle(pilot, lambda: isinstance(app.focused, QueryInput))
        app.post_message(events.Paste("one\ntwo\n"))
        await settle(pilot, lambda: app.focused.value == "one two")  # type: ignore[union-attr]
        app.post_message(events.Paste("\n"))
        app.post_message(events.Paste(""))
        await pilot.pause()
        assert app.focused.value == "one two"  # type: ignore[union-attr]


@pytest.mark.anyio
async def test_leaving_a_form_that_was_filled_in_asks_and_an_untouched_one_does_not(
    app: FlowdeckApp,
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("escape")
        await settle(pilot, lambda: not isinstance(app.screen, LaunchScreen))

        screen = await opened(app, pilot)
        await pilot.press("a")
        await settle(pilot, lambda: "text=a" in screen_text(app))
        await pilot.press("escape")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("escape")
        await settle(pilot, lambda: app.screen is screen)
        await pilot.press("ctrl+t")
        await settle(pilot, lambda: isinstance(app.screen, JsonScreen))
        await settle(pilot, lambda: bool(app.screen.query(TextArea)))
        app.screen.query_one(TextArea).text = "{}"
        await pilot.press("escape")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await settle(pilot, lambda: app.screen is screen)
        await pilot.press("escape")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await settle(pilot, lambda: not isinstance(app.screen, LaunchScreen))
