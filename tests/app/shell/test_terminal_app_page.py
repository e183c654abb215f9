"""docs/terminal-app.md: its key table is that of the registry, its pictures tell of no machine."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
sys.path.insert(0, str(DOCS))

import app_keys  # noqa: E402
import app_screens  # noqa: E402

from flowdeck_app.actions import REGISTRY  # noqa: E402

PICTURES = [f"app-{name}.svg" for name in app_screens.PICTURES]


def test_the_key_table_is_current() -> None:
    hint = "python docs/app_keys.py writes it"
    assert app_keys.current() == app_keys.PAGE.read_text("utf-8"), hint


def test_every_action_is_in_the_key_table() -> None:
    page = app_keys.PAGE.read_text("utf-8")
    assert [action.id for action in REGISTRY if f"`{action.id}`" not in page] == []


def test_the_keys_in_the_text_are_those_of_the_registry() -> None:
    """The example of the settings names actions that exist."""
    example = app_keys.PAGE.read_text("utf-8").partition("[tool.flowdeck.keys]")[2]
    ids = re.findall(r'^"([a-z_.]+)" =', example, re.MULTILINE)
    assert ids
    assert [name for name in ids if name not in REGISTRY] == []


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_exist_and_name_no_place_of_the_machine_they_were_drawn_on(name: str) -> None:
    text = (DOCS / "images" / name).read_text("utf-8")
    shown = re.sub(r"<[^>]+>", "", text).replace("&#160;", " ")
    assert "flowdeck" in shown
    assert re.findall(r"/(?:root|work|home|tmp|Users)/\S*|\.pyenv|site-packages", shown) == []
