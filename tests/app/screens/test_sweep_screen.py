"""A sweep in the app: its table, sorting, opening a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from cli_builder import T0, Record

from flowdeck_app.palette import SweepCommands
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.sweep.screen import SweepScreen
from flowdeck_store import events
from flowdeck_store.session import RecordingSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def sweep(home: Path) -> None:
    session = RecordingSession.open(home, version="test", on_warning=print)
    record = Record(home, session)
    for place, depth in enumerate((2, 4, 3)):
        uid = record.run(f"depth={depth}", params=json.dumps({"depth": depth, "x": "[/b]"}),
                         tags='["sweep:[/s]"]', created=T0 + place)  # fmt: skip
        record.emit(events.result(uid, 0, T0, "dict", None, f"{{'loss': {depth / 10}}}", None))
    session.close()


async def test_a_table_that_sorts_by_its_columns_and_opens_runs(
    app_for: Callable[..., Any], sweep: None
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        entries = await SweepCommands(app.screen, None).entries()
        assert [entry.text for entry in entries] == ["Sweep [/s]"]
        app.open_sweep("[/s]")
        await settle(pilot, lambda: isinstance(app.screen, SweepScreen))
        await settle(pilot, lambda: "loss" in screen_text(app) and "0.4" in screen_text(app))
        text = screen_text(app)
        assert "sweep [/s]" in text
        assert "depth" in text
        assert "3 runs" in text
        screen = app.screen
        await pilot.press("s")  # by depth
        await settle(pilot, lambda: [screen.table.row_at(n) and screen.table.row_at(n).run.id
                                     for n in range(3)] == [1, 3, 2])  # fmt: skip
        await pilot.press("g", "enter")
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_a_sweep_that_is_gone(app_for: Callable[..., Any], home: Path) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_sweep("x")
        await settle(pilot, lambda: "No runs of this sweep" in screen_text(app))
