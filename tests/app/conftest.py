"""The app's test harness: an app with a fixed clock, and text snapshots of what it draws.

A snapshot is the screen as lines of text, so a change is read in a diff. After looking at the
change, ``UPDATE_SNAPSHOTS=1`` writes the new ones.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, ZONE
from app_harness import come_to_snapshot

from flowdeck_app.app import FlowdeckApp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot


@pytest.fixture(scope="session", autouse=True)
def built_sessions_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let this process hold the mark of what a StoreBuilder builds: else an app that watches ends
    its running runs, as those of any dead process."""
    from flowdeck_store.file import process_lock

    mark = process_lock.hold(tmp_path_factory.mktemp("locks"), "s" * 32)
    yield
    mark.release(delete=True)


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[Pilot[Any], str], Awaitable[str]]:
    """Wait for the screen that is on file: ``await snapshot(pilot, "home-80x24")``."""
    module = request.path.stem.removeprefix("test_")
    return partial(_come_to, module)


async def _come_to(module: str, pilot: Pilot[Any], name: str) -> str:
    return await come_to_snapshot(pilot, module, name)


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
