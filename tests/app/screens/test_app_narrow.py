"""What a small terminal must still show, and what a window that changes its size must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from app_harness import Bench, screen_text, settle
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from run_screen_steps import opened
from run_screen_store import FAILED_RUN, LIVE, fill

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing.cells import fit_middle
from flowdeck_app.drawing.look import Look
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.widgets.breadcrumb import Breadcrumb
from flowdeck_app.widgets.tabs import Tab, TabStrip
from store_builder import StoreBuilder

AppFor = Callable[..., FlowdeckApp]
FLOW = "a-flow-with-a-long-name-that-fills-the-terminal"
TASK = "fetch_the_very_long_page_of_the_customer-22"


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    builder = fill(home)
    yield builder
    builder.close()


@pytest.mark.usefixtures("bare")
@pytest.mark.anyio
@pytest.mark.parametrize("cells", [60, 80, 100])
async def test_the_last_level_of_the_trail_is_always_seen(app_for: AppFor, cells: int) -> None:
    app = app_for()
    async with app.run_test(size=(cells, 15)) as pilot:
        app.push_screen(Bench(names=("Runs", FLOW, "snobbish-bee", TASK)))
        await settle(pilot, lambda: bool(app.screen.query(Breadcrumb)))
        await settle(pilot, lambda: "-22" in screen_text(app).splitlines()[0])
        line = screen_text(app).splitlines()[0]
        assert [name[:1] for name in line.split(" › ")] == [" ", "R", "a", "s", "f"]
        assert "live" in line


@pytest.mark.usefixtures("bare")
@pytest.mark.anyio
async def test_the_active_tab_is_always_seen(app_for: AppFor) -> None:
    names = ("Tasks", "Timeline", "Graph", "Logs", "Results", "Params")
    strip = TabStrip([Tab(name.lower(), name, 1000) for name in names])
    app = app_for()
    async with app.run_test(size=(60, 15)) as pilot:
        app.push_screen(Bench(strip))
        for name in (*names[1:], names[0]):
            await settle(pilot, lambda: bool(app.screen.query(TabStrip)))
            strip.step(1)
            await settle(pilot, lambda name=name: f" {name} 1" in screen_text(app))  # type: ignore[misc]
            row = next(i for i, line in enumerate(screen_text(app).splitlines()) if name in line)
            line, rule = screen_text(app).splitlines()[row : row + 2]
            shown = "".join(c for c, mark in zip(line, rule, strict=False) if mark == "━")
            assert name in shown, "the heavy line is not below the active tab"


@pytest.mark.anyio
async def test_a_smaller_window_hides_figures_and_not_failures(
    app_for: AppFor, store: StoreBuilder
) -> None:
    async with app_for().run_test(size=(60, 24)) as pilot:
        await opened(pilot.app, pilot, FAILED_RUN)
        narrow = screen_text(pilot.app).splitlines()
    async with app_for().run_test(size=(140, 24)) as pilot:
        await opened(pilot.app, pilot, FAILED_RUN)
        await pilot.resize_terminal(60, 24)
        await settle(pilot, lambda: screen_text(pilot.app).splitlines()[2] == narrow[2])
    assert "✗" in narrow[2]


@pytest.mark.usefixtures("bare")
@pytest.mark.anyio
@pytest.mark.parametrize("cells", [60, 79, 80, 120])
async def test_a_question_fits_its_terminal(app_for: AppFor, cells: int) -> None:
    app = app_for()
    async with app.run_test(size=(cells, 24)) as pilot:
        app.push_screen(Bench())
        detail = "What you filled in is lost; ctrl+s keeps it as the flow's preset. " * 2
        app.confirm("Close without running?", lambda: None, detail=detail, yes="Close")
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await settle(pilot, lambda: "Close" in screen_text(app))
        shown = screen_text(app)
        assert "n no" in shown, shown
        assert shown.count("╮") == 1 == shown.count("╭"), shown
        assert " Close\n" not in shown
        words = " ".join(line.strip("│ ") for line in shown.splitlines())
        assert " ".join(detail.split()) in " ".join(words.split())


@pytest.mark.anyio
async def test_each_entry_of_the_palette_is_one_line(app_for: AppFor, store: StoreBuilder) -> None:
    async with app_for().run_test(size=(80, 24)) as pilot:
        await opened(pilot.app, pilot, LIVE)
        await pilot.press("colon")
        await settle(pilot, lambda: "Next pane" in screen_text(pilot.app))
        lines = [line.strip("▌▐ ") for line in screen_text(pilot.app).splitlines()]
        at = next(i for i, line in enumerate(lines) if line.startswith("Next pane"))
        assert lines[at - 1].startswith("Back"), lines


@given(st.text("ab日本ｱ…é", min_size=0, max_size=40), st.integers(5, 30))
def test_what_is_cut_in_the_middle_has_no_hole(text: str, cells: int) -> None:
    cut = fit_middle(text, cells)
    assert cell_len(cut) == cells
    assert "  " not in cut.rstrip()
    assert " …" not in cut
    assert "… " not in cut.rstrip() + "x"


def test_a_trail_that_fits_is_not_cut() -> None:
    trail = Breadcrumb(("Runs", "etl", "brave-otter"))
    pieces = trail.rows(Look(0), 60)[0]
    assert "flowdeck › Runs › etl › brave-otter" in "".join(piece.text for piece in pieces)
