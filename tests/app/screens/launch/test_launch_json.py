"""All values as JSON: what is wrong is marked where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle

from flowdeck_app.screens.launch.form import Form
from flowdeck_app.screens.launch.json_area import JsonArea
from flowdeck_app.screens.launch.json_editor import JsonScreen
from flowdeck_app.screens.launch.json_marks import TextPlace, broken_at, coloured, places
from flowdeck_app.screens.launch.specs import Field

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = """{
  "limit": 5,
  "config": {"retries": [1, {"a": true}], "path": "x: {y"},
  "odd": [[1, 2], "}"]
}"""


def test_every_value_is_found_by_its_path() -> None:
    found = places(TEXT)
    assert found["limit"] == TextPlace(1, 2, 7)
    assert found["config.retries.1.a"].line == 2
    lines = TEXT.splitlines()
    for path, word in (
        ("config.path", '"path"'), ("odd.0.1", "2"), ("odd.1", '"}"'), ("config.retries.0", "1"),
    ):  # fmt: skip
        place = found[path]
        assert lines[place.line][place.column : place.column + place.length] == word


@pytest.mark.parametrize("text", ["", "{", '{"a', '{"a": [1, }', "]]]{", '"', '{"\\', "[" * 5000])
def test_a_text_that_is_no_json_is_told_where_it_breaks(text: str) -> None:
    assert broken_at(text) is not None
    places(text)  # whatever is typed


def test_names_texts_numbers_and_words_are_told_apart() -> None:
    line = '  "a": ["b", -1.5e3, true, "c\\"d": x'
    kinds = [(line[start:end], kind) for start, end, kind in coloured(line)]
    assert kinds == [
        ('"a"', "key"), ('"b"', "text"), ("-1.5e3", "number"), ("true", "word"),
        ('"c\\"d"', "key"), ("x", "word"),
    ]  # fmt: skip


@pytest.mark.anyio
async def test_what_is_wrong_is_marked_and_said_and_the_cursor_goes_there(
    app_for: Callable[..., Any],
) -> None:
    fields = [Field("limit", "int", "int", True, "1"), Field("day", "date", "date", True, "")]
    form = Form("f.py:f", fields, texts={"day": "x‮y\x9b"})
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        taken: list[dict[str, Any] | None] = []
        app.push_screen(JsonScreen(form, {}), taken.append)
        await settle(pilot, lambda: "not a date" in screen_text(app))
        assert "Line 3, column 3: day not a date" in screen_text(app)
        assert "‮" not in screen_text(app)
        area = app.screen.query_one(JsonArea)
        area.text = '{\n  "limit": 2,\n  "dax": 1\n}'
        await settle(pilot, lambda: "no parameter 'dax'" in screen_text(app))
        await pilot.press("ctrl+r")
        assert area.cursor_location == (2, 2)
        area.text = '{"limit": 2,, }'
        await settle(pilot, lambda: "Line 1, column 13: not JSON" in screen_text(app))
        await pilot.press("ctrl+r")
        assert area.cursor_location == (0, 12)
        area.text = '{"limit": 2, "day": "2026-11-22"}'
        await settle(pilot, lambda: "Line" not in screen_text(app))
        await pilot.press("ctrl+r")
        await settle(pilot, lambda: bool(taken))
        assert taken == [{"limit": 2, "day": "2026-11-22"}]
