"""The app's test harness: an app with a fixed clock, and text snapshots of what it draws.

A snapshot is the screen as lines of text, so a change is read in a diff. After looking at the
change, ``UPDATE_SNAPSHOTS=1`` writes the new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, ZONE
from app_harness import check_snapshot, screen_text

from flowdeck_app.app import FlowdeckApp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.app import App


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[App[Any], str], None]:
    """Compare the screen with the one on file: ``snapshot(app, "home-80x24")``."""
    module = request.path.stem.removeprefix("test_")

    def compare(app: App[Any], name: str) -> None:
        check_snapshot(module, name, screen_text(app))

    return compare


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app without its screens: only what a test puts on it."""
    monkeypatch.setattr("flowdeck_app.app.screen_exists", lambda name: False)


@pytest.fixture
def app_for(home: Path) -> Callable[..., FlowdeckApp]:
    """Make an app with a fixed clock that neither remembers nor watches, unless told to."""

    def make(**given: Any) -> FlowdeckApp:
        values: dict[str, Any] = {
            "clock": lambda: NOW,
            "zone": ZONE,
            "remember": False,
            "watch": False,
            "folder": home.parent,
        }
        return FlowdeckApp(given.pop("home", home), **{**values, **given})

    return make
