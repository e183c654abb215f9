"""The app's stylesheet: what was parsed is kept, other colours are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.color import Color
from textual.css import stylesheet as textual_stylesheet

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing import theme
from flowdeck_app.terminal.stylesheet import KeptStylesheet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Return a list that grows with each piece of CSS that is parsed."""
    seen: list[tuple[object, ...]] = []
    parse = textual_stylesheet.parse

    def noted(scope: str, css: str, read_from: object, **given: Any) -> Any:
        seen.append((read_from, scope, given["tie_breaker"], given["is_default_rules"]))
        return parse(scope, css, read_from, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(textual_stylesheet, "parse", noted)
    return seen


async def test_no_piece_of_css_is_parsed_twice_until_the_app_is_there(
    tmp_path: Path, parsed: list[tuple[object, ...]]
) -> None:
    app = FlowdeckApp(tmp_path, folder=tmp_path, remember=False, watch=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        app.show_mode("runs")  # a screen with CSS of its own
        await pilot.pause()
    assert len(parsed) > 20
    assert sorted(map(str, parsed)) == sorted(map(str, set(parsed)))


async def test_another_theme_is_seen_at_once(tmp_path: Path) -> None:
    app = FlowdeckApp(tmp_path, folder=tmp_path, remember=False, watch=False)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        dark = app.screen.styles.background
        app.set_theme(theme.LIGHT)
        await pilot.pause()
        assert app.screen.styles.background == Color.parse("#fafafa") != dark


async def test_the_same_colours_keep_what_was_parsed_and_others_do_not() -> None:
    sheet = KeptStylesheet(variables={"ink": "red"})
    sheet.add_source("Widget { color: $ink; }", ("here", ""))
    (red,) = sheet.rules
    sheet.set_variables({"ink": "red"})
    sheet.reparse()
    assert sheet.rules == [red]
    assert sheet.rules[0] is red
    sheet.set_variables({"ink": "blue"})
    sheet.reparse()
    assert sheet.rules[0].styles.color == Color.parse("blue")
