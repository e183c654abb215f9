"""Every screen as a text picture: at four sizes, in ASCII without colour, empty, and without a
record to read. One walk through the app takes all pictures of a size.

``UPDATE_SNAPSHOTS=1`` writes them anew; look at the difference before it is kept.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import come_to_snapshot, settle
from app_walk import RUN_TABS, still, walk
from run_screen_store import EMPTY, FAILED_RUN, fill

from flowdeck_app.screens.launch.fields import FieldRow
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.widgets.tabs import TabStrip

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]
AppFor = Callable[..., Any]
SIZES = ((60, 15), (80, 24), (100, 30), (160, 45))
FLOWS = '''
from flowdeck import flow


@flow
def sync_invoices(day: str, limit: int = 500, dry: bool = False):
    """Load the invoices of a day."""
'''
_SIZE = re.compile(r"(flowdeck\.db +|Disk +)([\d.]+ [^│|]*?)(?=[│|])")
_ENGINE = re.compile(r"((?:Dask|Ray) +)((?:not )?installed *)(?=[│|])")
_FOLDER = re.compile(r"/\S*pytest\S*")


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a flow; the app is started in it."""
    flows = home.parent / "work"
    flows.mkdir()
    (flows / "flows.py").write_text(FLOWS)
    monkeypatch.chdir(flows)
    return flows


def settled(text: str) -> str:
    """Replace what differs from machine to machine: sizes of file and disk, engines, folders."""
    for found in (_SIZE, _ENGINE):
        text = found.sub(lambda m: m[1] + "#".ljust(len(m[2])), text)
    return _FOLDER.sub(lambda m: "/(folder)".ljust(len(m[0])), text)


async def picture(pilot: Pilot[Any], name: str) -> str:
    return await come_to_snapshot(pilot, "every_screen", name, settled)


async def launch(app: FlowdeckApp, pilot: Pilot[Any]) -> AsyncIterator[str]:
    """Open the launch dialog and leave it."""
    app.open_launch("flows.py:sync_invoices")
    await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))
    await settle(pilot, lambda: len(app.screen.query(FieldRow)) >= 3)
    await still(pilot)
    yield "launch"
    app.pop_screen()


async def everything(app: FlowdeckApp, pilot: Pilot[Any]) -> AsyncIterator[str]:
    async for name in walk(app, pilot, FAILED_RUN, [1]):
        yield name
    async for name in launch(app, pilot):
        yield name


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen_at_every_size(
    app_for: AppFor, home: Path, folder: Path, size: tuple[int, int]
) -> None:
    fill(home).close()
    app = app_for(folder=folder)
    seen = set()
    async with app.run_test(size=size) as pilot:
        async for name in everything(app, pilot):
            text = await picture(pilot, f"{name}-{size[0]}x{size[1]}")
            lines = text.splitlines()
            assert len(lines) <= size[1]
            seen.add(name)
    assert len(seen) == 4 + 3 + 2 + 6 + 5 + 1


async def test_every_screen_in_ascii_without_colour(
    app_for: AppFor, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    fill(home).close()
    app = app_for(folder=folder, ascii_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        async for name in everything(app, pilot):
            text = await picture(pilot, f"{name}-ascii")
            assert text.isascii(), name
            assert not colours(app), name


def colours(app: FlowdeckApp) -> set[Any]:
    """Return the colours, other than greys, that are left when the app's filters have worked."""
    found = set()
    for strip in app.screen._compositor.render_strips():
        for line_filter in app._filters:
            strip = strip.apply_filter(line_filter, app.screen.styles.background)
        for segment in strip:
            style = segment.style
            for colour in (style.color, style.bgcolor) if style else ():
                triplet = colour.triplet if colour is not None else None
                if triplet is not None and len(set(triplet)) > 1:
                    found.add(triplet)
    return found


async def test_nothing_recorded_and_nothing_found(app_for: AppFor, home: Path) -> None:
    empty = home.parent / "work"
    empty.mkdir()
    app = app_for(folder=empty)
    async with app.run_test(size=(100, 30)) as pilot:
        await still(pilot)
        assert "No flows found" in await picture(pilot, "home-nothing")
        app.show_mode("runs")
        await still(pilot)
        assert "No runs" in await picture(pilot, "runs-nothing")
        app.open_run(1)
        await still(pilot)
        assert "is not in the record" in await picture(pilot, "run-nothing")


async def test_a_run_that_has_recorded_nothing_yet(app_for: AppFor, home: Path) -> None:
    fill(home).close()
    app = app_for(folder=home.parent)
    async with app.run_test(size=(100, 30)) as pilot:
        app.open_run(EMPTY)
        await settle(pilot, lambda: isinstance(app.screen, RunScreen))
        for tab in RUN_TABS:
            app.screen.query_one("#run-tabs", TabStrip).choose(tab)
            await still(pilot)
            await picture(pilot, f"run-without-{tab}")
