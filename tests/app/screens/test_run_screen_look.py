"""What the run and task screens look like: one text picture each, at every size, and when empty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import SIZES, screen_text, settle
from run_screen_steps import opened, to_tab
from run_screen_store import EMPTY, FAILED_RUN, LIVE, fill
from test_task_screen import opened as opened_task

from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.run.panes import RunLog
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.log_view import LogView

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flowdeck_app.screens.run.screen import RunScreen
    from store_builder import StoreBuilder

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]
Snapshot = Callable[..., Awaitable[str]]


@pytest.fixture
def store(home: object) -> Iterator[StoreBuilder]:
    builder = fill(home)  # type: ignore[arg-type]
    yield builder
    builder.close()


def name_of(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


async def all_there(screen: RunScreen, pilot: Pilot[Any]) -> None:
    """Wait until every view that is shown has its rows, and the log its names."""

    def ready() -> bool:
        views = [view for view in screen.query(LineView) if view.is_on_screen and view.display]
        shown = [view for view in views if all(node.display for node in view.ancestors_with_self)]  # type: ignore[union-attr]
        logs = [view for view in shown if isinstance(view, RunLog)]
        return all(view.loaded for view in shown) and not any(log.unnamed() for log in logs)

    await settle(pilot, ready)
    for _ in range(3):
        await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=name_of)
async def test_a_live_run(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    async with app_for().run_test(size=size) as pilot:
        screen = await opened(pilot.app, pilot, LIVE)
        await screen.table.select_key(LIVE << 24 | 10)
        if screen.preview.display:
            await settle(pilot, lambda: screen.preview.log_view.count == 3)
        await all_there(screen, pilot)
        await snapshot(pilot, f"run-{name_of(size)}")


@pytest.mark.parametrize("tab", ["timeline", "graph", "logs", "results", "params"])
async def test_the_other_tabs(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot, tab: str
) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot.app, pilot, LIVE)
        await to_tab(screen, pilot, tab)
        if tab == "graph":
            await settle(pilot, lambda: "prepare" in screen_text(pilot.app))
        if tab == "logs":
            await settle(pilot, lambda: screen.query_one("#run-log", LogView).count == 5)
        await all_there(screen, pilot)
        await snapshot(pilot, f"run-{tab}")


async def test_a_failed_run_in_ascii_without_colour(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with app_for(ascii_only=True).run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot.app, pilot, FAILED_RUN)
        await all_there(screen, pilot)
        text = screen_text(pilot.app)
        assert text.isascii()
        await snapshot(pilot, "run-failed-ascii")


async def test_empty_gone_and_filtered_out(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot
) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot.app, pilot, EMPTY)
        await all_there(screen, pilot)
        await snapshot(pilot, "run-empty")
        await pilot.press("exclamation_mark")
        await settle(pilot, lambda: "Nothing matches" in screen_text(pilot.app))
        await snapshot(pilot, "run-nothing-matches")
        pilot.app.open_run(99)
        await settle(pilot, lambda: "is not in the record" in screen_text(pilot.app))
        await snapshot(pilot, "run-gone")


@pytest.mark.parametrize("size", SIZES, ids=name_of)
async def test_a_failed_task(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    async with app_for().run_test(size=size) as pilot:
        screen = await opened_task(pilot.app, pilot, FAILED_RUN, 1)
        await settle(pilot, lambda: "is not there any more" in screen_text(pilot.app))
        source = screen.query_one("#source", PanelView)
        await settle(pilot, lambda: source.current_key == ("line", 57))
        await snapshot(pilot, f"task-{name_of(size)}")


async def test_a_failed_task_in_ascii_without_colour(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with app_for(ascii_only=True).run_test(size=(100, 30)) as pilot:
        await opened_task(pilot.app, pilot, FAILED_RUN, 1)
        await settle(pilot, lambda: "is not there any more" in screen_text(pilot.app))
        text = screen_text(pilot.app)
        assert text.isascii()
        await snapshot(pilot, "task-ascii")


async def test_a_group_a_running_task_and_none(
    app_for: AppFor, store: StoreBuilder, snapshot: Snapshot
) -> None:
    async with app_for().run_test(size=(100, 30)) as pilot:
        await opened_task(pilot.app, pilot, FAILED_RUN, 3)
        await settle(pilot, lambda: "is not there any more" in screen_text(pilot.app))
        await snapshot(pilot, "task-group")
        screen = await opened_task(pilot.app, pilot, LIVE, 10)
        await settle(pilot, lambda: screen.query_one("#task-log", LogView).count == 3)
        await pilot.pause()
        await snapshot(pilot, "task-running")
        pilot.app.open_task(FAILED_RUN, 77)
        await settle(pilot, lambda: "is not in the record" in screen_text(pilot.app))
        await snapshot(pilot, "task-gone")
