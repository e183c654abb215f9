"""What the user has ordered is done, also when the screen that it was ordered on is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_harness import screen_text, settle
from run_screen_steps import opened
from run_screen_store import LIVE, fill

from flowdeck_app.access import SLOW
from flowdeck_app.app import FlowdeckApp
from flowdeck_app.screens.run.export import ExportScreen
from flowdeck_app.screens.run.screen import RunScreen
from store_builder import StoreBuilder

pytestmark = pytest.mark.anyio
AppFor = Callable[..., FlowdeckApp]


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    builder = fill(home)
    yield builder
    builder.close()


async def test_an_export_is_written_though_the_store_is_slow_and_its_screens_are_left(
    app_for: AppFor, store: StoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app_for(folder=tmp_path).run_test(size=(100, 30)) as pilot:
        app = pilot.app
        screen = await opened(app, pilot, LIVE)
        assert isinstance(app, FlowdeckApp)
        said: list[str] = []
        monkeypatch.setattr(app, "say", said.append)
        gate, waits = threading.Event(), threading.Event()

        def wait(_: object) -> None:
            waits.set()
            assert gate.wait(60)

        slow = app.run_worker(app.access.ask(wait, SLOW))
        await settle(pilot, waits.is_set)
        try:
            await pilot.press("J")
            await settle(pilot, lambda: isinstance(app.screen, ExportScreen))
            dialog = app.screen
            await settle(pilot, lambda: "JSON lines" in screen_text(app))
            await pilot.press("enter")
            await settle(pilot, lambda: app.screen is screen and not dialog.is_attached)
            await pilot.press("escape")
            await settle(pilot, lambda: not isinstance(app.screen, RunScreen))
            await settle(pilot, lambda: not screen.is_attached)
        finally:
            gate.set()
        await slow.wait()
        path = tmp_path / "brave-otter-tasks.jsonl"
        await settle(pilot, path.exists)
        await settle(pilot, lambda: any(name.startswith("Written:") for name in said))
