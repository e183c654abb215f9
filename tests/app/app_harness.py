"""What the app's tests share: reading the screen, waiting for a condition, a screen to put
widgets on."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_app.screens.base import FlowdeckScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import App, ComposeResult
    from textual.pilot import Pilot
    from textual.widget import Widget

    from flowdeck_app.widgets.line_view import LineView

SNAPSHOTS = Path(__file__).parent / "snapshots"
#: The sizes that every screen is drawn at.
SIZES = ((80, 24), (100, 30), (120, 40), (200, 60))


def screen_text(app: App[Any]) -> str:
    """Return what is on the screen, one line a row."""
    lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
    return "\n".join(lines).rstrip() + "\n"


def check_snapshot(module: str, name: str, text: str) -> None:
    """Compare a text with the one on file; ``UPDATE_SNAPSHOTS=1`` writes it instead."""
    path = SNAPSHOTS / module / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return
    assert path.exists(), f"no snapshot {path}: look at the screen, then UPDATE_SNAPSHOTS=1"
    assert text == path.read_text("utf-8"), f"the screen differs from {path}"


async def settle(pilot: Pilot[Any], until: Callable[[], bool], seconds: float = 30.0) -> None:
    """Let the app work until a condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        await pilot.pause()
        if until():
            return
        await pilot.pause(0.01)
    pytest.fail("the app did not come to what was expected")


class Bench(FlowdeckScreen):
    """A screen with nothing but the widgets of a test."""

    def __init__(self, *widgets: Widget, names: Sequence[str] = ("Test",)) -> None:
        super().__init__()
        self._widgets, self._names = widgets, names
        self.opened: list[object] = []

    def trail(self) -> Sequence[str]:
        return self._names

    def compose_content(self) -> ComposeResult:
        yield from self._widgets

    def on_line_view_opened(self, message: LineView.Opened) -> None:
        self.opened.append(message.key)
