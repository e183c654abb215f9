"""Errors of all runs as rows, one error with all that failed with it, and retry from both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from run_screen_store import FAILED_RUN, add_hostile, fill

from flowdeck_app.screens.errors.group import ErrorGroupScreen
from flowdeck_app.screens.errors.screen import ErrorsScreen
from flowdeck_app.screens.launch.screen import LaunchScreen
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.views.errors import when_counts
from flowdeck_store.read.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp
    from flowdeck_app.widgets.table import TableView

pytestmark = pytest.mark.anyio


@pytest.fixture
def store(home: Path) -> Iterator[Any]:
    builder = fill(home)
    yield builder
    builder.close()


async def shown(app: FlowdeckApp, pilot: Pilot[Any]) -> tuple[ErrorsScreen, TableView[Any]]:
    await pilot.press("3")
    await settle(pilot, lambda: isinstance(app.screen, ErrorsScreen))
    screen = app.screen
    assert isinstance(screen, ErrorsScreen)
    await settle(pilot, lambda: screen.table.loaded and screen.current is not None)
    return screen, screen.table


async def opened(app: FlowdeckApp, pilot: Pilot[Any]) -> tuple[ErrorGroupScreen, TableView[Any]]:
    await pilot.press("enter")
    await settle(pilot, lambda: isinstance(app.screen, ErrorGroupScreen))
    screen = app.screen
    assert isinstance(screen, ErrorGroupScreen)
    await settle(pilot, lambda: screen.table.loaded and screen.table.current is not None)
    return screen, screen.table


def _groups(home: Path) -> list[Any]:
    with Reader.open(home) as reader:
        return reader.error_groups()


async def test_3_shows_what_flowdeck_errors_shows(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        _, table = await shown(app, pilot)
        text = screen_text(app)
        for group in _groups(home):
            assert group.place.short in text
        assert table.count == len(_groups(home))
        assert f"{table.count} errors" in text


async def test_enter_leads_to_the_error_and_on_to_the_task_run(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        _, table = await shown(app, pilot)
        wanted = max(_groups(home), key=lambda group: group.tasks)
        await table.select_key(wanted.id)
        _, occurrences = await opened(app, pilot)
        assert occurrences.count == wanted.tasks
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
        await pilot.press("escape", "escape")
        await settle(pilot, lambda: isinstance(app.screen, ErrorsScreen))


async def test_f_leads_to_the_newest_task_run_at_once(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        await shown(app, pilot)
        await pilot.press("f")
        await settle(pilot, lambda: isinstance(app.screen, TaskScreen))


@pytest.mark.parametrize("place", ["list", "error"])
async def test_F_opens_the_launch_dialog_for_the_newest_failed_run(
    app_for: Callable[..., Any], home: Path, store: Any, place: str
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        screen, table = await shown(app, pilot)
        wanted = next(group for group in _groups(home) if FAILED_RUN in group.open_runs)
        await table.select_key(wanted.id)
        if place == "error":
            screen, _ = await opened(app, pilot)  # type: ignore[assignment]
        await settle(pilot, lambda: bool(screen.can_rerun_failed))
        assert screen.failed_run is not None
        assert screen.failed_run.id == wanted.open_runs[0]
        await pilot.press("F")
        await settle(pilot, lambda: isinstance(app.screen, LaunchScreen))


async def test_a_filter_and_problems_leave_rows_out_and_esc_brings_them_back(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 30)) as pilot:
        screen, table = await shown(app, pilot)
        everything = table.count
        screen.show_query("name:nobody")
        await settle(pilot, lambda: table.loaded and table.count == 0)
        await settle(pilot, lambda: "Nothing matches" in screen_text(app))
        await pilot.press("escape")
        await settle(pilot, lambda: table.count == everything)
        still = sum(group.is_open for group in _groups(home))
        await pilot.press("exclamation_mark")
        await settle(pilot, lambda: table.loaded and table.count == still)
        assert f"{still} open error" in screen_text(app)


async def test_a_failure_that_comes_in_appears(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    app = app_for(watch=True)
    async with app.run_test(size=(120, 30)) as pilot:
        _, table = await shown(app, pilot)
        before = table.count
        add_hostile(store)
        await settle(pilot, lambda: table.count > before)
        assert table.count == len(_groups(home))


async def test_hostile_texts_are_only_shown(
    app_for: Callable[..., Any], home: Path, store: Any
) -> None:
    from app_walk import check_drawn, still

    add_hostile(store)
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        _, table = await shown(app, pilot)
        for group in _groups(home):
            await table.select_key(group.id)
            await still(pilot)
            check_drawn(app, group.id)
            await opened(app, pilot)
            await still(pilot)
            check_drawn(app, group.id)
            await pilot.press("escape")
            await settle(pilot, lambda: isinstance(app.screen, ErrorsScreen))


async def test_without_failures_the_screen_says_so(app_for: Callable[..., Any]) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("3")
        await settle(pilot, lambda: "Nothing failed" in screen_text(app))
        await pilot.press("enter", "F", "f", "y", "o")
        await settle(pilot, lambda: isinstance(app.screen, ErrorsScreen))


def test_the_picture_of_when_ends_now_and_loses_nothing() -> None:
    assert when_counts([(0, 3), (50, 1), (100, 2)], 100, 4) == [3, 0, 1, 2]
    assert when_counts([], 100, 4) == [0, 0, 0, 0]
    assert when_counts([(500, 2)], 100, 3) == [2, 0, 0]  # a clock that was set back
    assert when_counts([(7, 1)], 7, 2) == [1, 0]
