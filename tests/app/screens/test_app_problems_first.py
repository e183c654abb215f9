"""The cursor goes with a row only once somebody has put it there; problems that are above are told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_data import task_row
from app_harness import Bench, screen_text, settle

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.sources import RunSource, TaskSource
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store.states import COMPLETED, FAILED, RUNNING
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.views.rows import TaskRow

pytestmark = pytest.mark.anyio
AppFor = Callable[..., FlowdeckApp]


def thawed() -> Callable[[], float]:
    """A clock that goes on by an hour a look: the freeze after a movement is over at once."""
    hours = itertools.count(1_000_000, 3600)
    return lambda: float(next(hours))


def table(running: int) -> tuple[MemorySource[TaskRow], TaskTable]:
    rows = [task_row(n) for n in range(running)]
    source = MemorySource(rows, key=lambda row: row.record.id)
    return source, TaskTable(source)


async def shown(app: FlowdeckApp, pilot: Pilot[Any], view: TaskTable) -> None:
    await app.push_screen(Bench(view))
    view.focus()
    await settle(pilot, lambda: view.loaded)


async def fail(pilot: Pilot[Any], source: MemorySource[TaskRow], view: TaskTable, n: int) -> None:
    """The last ``n`` rows fail: they come to stand before all others."""
    rows = list(source.rows)
    failed = [task_row(row.record.no, code=FAILED) for row in rows[-n:]]
    source.rows = [*failed, *rows[:-n]]
    source.problems_first = n
    view.monotonic = thawed()
    view.reload()
    await settle(pilot, lambda: view.row_at(0) is source.rows[0] or view.top > 0)


async def test_failures_come_into_view_while_nobody_has_moved(app_for: AppFor, bare: None) -> None:
    app = app_for()
    async with app.run_test(size=(80, 15)) as pilot:
        source, view = table(60)
        await shown(app, pilot, view)
        for n in (1, 40):
            await fail(pilot, source, view, n)
            assert (view.top, view.cursor) == (0, 0)
            assert view.current is source.rows[0]
        assert "above" not in screen_text(app)


async def test_a_cursor_that_was_moved_keeps_its_row_and_tells_of_problems_above(
    app_for: AppFor, bare: None
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 15)) as pilot:
        source, view = table(60)
        await shown(app, pilot, view)
        await pilot.press("j", "j")
        key = view.current_key
        await fail(pilot, source, view, 40)
        await settle(pilot, lambda: view.top > 0)
        assert view.current_key == key
        await settle(pilot, lambda: "40 problems above" in screen_text(app))
        view.action_move_half_up()  # some of them are seen now
        await settle(pilot, lambda: f"{view.top} problems above" in screen_text(app))
        await pilot.press("g")  # and with the first row all that will follow
        assert "above" not in screen_text(app)
        await fail(pilot, source, view, 45)
        assert (view.top, view.cursor) == (0, 0)
        assert view.current is source.rows[0]


async def test_sources_know_how_many_of_the_first_rows_are_problems(
    app_for: AppFor, home: Path
) -> None:
    builder = StoreBuilder(home)
    run = builder.run(state=RUNNING)
    for no, code in enumerate((COMPLETED, FAILED, RUNNING, FAILED, COMPLETED), 1):
        builder.task(run, no, state=code)
    builder.close()
    app = app_for()
    async with app.run_test() as pilot:
        await pilot.pause()
        for order, expected in (("problems", 2), ("start", 0)):
            source = TaskSource(app.access, run, "", order)
            await source.run(source.renew)
            assert source.problems_first == expected
        runs = RunSource(app.access, "", "problems")
        await runs.run(runs.renew)
        assert runs.problems_first == 0
