"""What the app's tests share: reading the screen, waiting for a condition, a screen to put
widgets on."""

from __future__ import annotations

import difflib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowdeck_app.screens.parts.base import FlowdeckScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import App, ComposeResult
    from textual.pilot import Pilot
    from textual.widget import Widget

    from flowdeck_app.widgets.lines.view import LineView

SNAPSHOTS = Path(__file__).parent / "snapshots"
#: The sizes that every screen is drawn at.
SIZES = ((80, 24), (100, 30), (120, 40), (200, 60))


def screen_text(app: App[Any]) -> str:
    """Return what is on the screen, one line a row."""
    lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
    return "\n".join(lines).rstrip() + "\n"


def check_snapshot(module: str, name: str, text: str) -> None:
    """Compare a text with the one on file; ``UPDATE_SNAPSHOTS=1`` writes it instead."""
    path = _snapshot(module, name)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return
    assert path.exists(), f"no snapshot {path}: look at the screen, then UPDATE_SNAPSHOTS=1"
    expected = path.read_text("utf-8")
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), "on file", "now")
        pytest.fail(f"the screen differs from {path}\n" + "\n".join(lines))


async def come_to_snapshot(
    pilot: Pilot[Any], module: str, name: str, seen: Callable[[str], str] = str
) -> str:
    """Let the app work until its screen is the one on file; return it, as ``seen`` makes it.

    A busy machine draws in more steps than a quiet one, and two of these may look alike for a
    while: so the picture is what the app has to come to, not what it shows at some moment.
    """
    path = _snapshot(module, name)
    if os.environ.get("UPDATE_SNAPSHOTS") or not path.exists():
        await stand_still(pilot, lambda: seen(screen_text(pilot.app)))
    else:
        expected, deadline = path.read_text("utf-8"), time.monotonic() + 30.0
        while seen(screen_text(pilot.app)) != expected and time.monotonic() < deadline:
            await pilot.pause(0.05)
    text = seen(screen_text(pilot.app))
    check_snapshot(module, name, text)
    return text


def _snapshot(module: str, name: str) -> Path:
    return SNAPSHOTS / module / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.txt"


async def stand_still(pilot: Pilot[Any], drawn: Callable[[], str]) -> None:
    """Wait until what is drawn is the same in several looks, and nothing says that it loads."""
    last, same = "", 0
    for _ in range(200):
        before, last = last, drawn()
        same = same + 1 if before == last and "Loading" not in last else 0
        if same == 3:
            return
        await pilot.pause(0.1)


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
