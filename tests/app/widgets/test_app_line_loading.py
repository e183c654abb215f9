"""How a line view loads: other sources, slow ones, news from a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from app_data import log, task_row
from app_harness import Bench, screen_text, settle

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.log_sources import LogSource
from flowdeck_app.sources import RunSource
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.widgets.lines.source import FakeSource, MemorySource
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_app.widgets.task_table import TaskTable
from store_builder import StoreBuilder

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]


class Gated(FakeSource[TaskRow]):
    """Answers only once its gate is open."""

    def __init__(self, total: int, name: str) -> None:
        super().__init__(
            lambda index: task_row(index, f"{name}{index}"), total, key=lambda row: row.record.id
        )
        self.gate = asyncio.Event()

    async def run(self, work: Callable[[], Any]) -> Any:
        await self.gate.wait()
        return await super().run(work)


def tasks(name: str) -> MemorySource[TaskRow]:
    return MemorySource(
        [task_row(n, f"{name}{n}") for n in range(9)], key=lambda row: row.record.id
    )


async def test_present_rows_stay_until_those_of_another_source_are_there(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = TaskTable(tasks("old"))
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: view.loaded)
        gated = Gated(5, "new")
        view.show(gated)
        await pilot.pause()
        assert view.source is gated
        assert not view.loaded
        assert "old3" in screen_text(app)
        gated.gate.set()
        await settle(pilot, lambda: "new3" in screen_text(app))
        assert "old" not in screen_text(app)
        assert view.count == 5


async def test_a_source_that_takes_long_is_said_to_be_loading(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = TaskTable(tasks("old"))
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: view.loaded)
        gated = Gated(5, "new")
        view.show(gated)
        await settle(pilot, lambda: "Loading…" in screen_text(app))
        assert "old" not in screen_text(app)
        gated.gate.set()
        await settle(pilot, lambda: "new3" in screen_text(app))


async def test_another_subject_begins_at_its_top_and_a_log_at_its_end(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        table = TaskTable(tasks("old"))
        lines = [log(n) for n in range(300)]
        view = LogView(MemorySource(lines, key=lambda row: row.seq, stable=True))
        await app.push_screen(Bench(table, view))
        await settle(pilot, lambda: table.loaded and view.loaded)
        table.move_to(5)
        view.move_to(3)
        assert not view.follow
        table.show(tasks("new"), top=True)
        view.show(MemorySource(lines[:200], key=lambda row: row.seq, stable=True), top=True)
        await settle(pilot, lambda: table.loaded and view.loaded)
        assert table.cursor == 0
        assert view.follow
        assert "line 199" in screen_text(app)


async def test_a_source_that_fails_at_once_shows_its_error_not_the_old_rows(
    app_for: AppFor,
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = TaskTable(tasks("old"))
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: view.loaded)
        broken = FakeSource(task_row, 5, key=lambda row: row.record.id)
        broken.error = OSError("no such disk")
        view.show(broken)
        await settle(pilot, lambda: "no such disk" in screen_text(app))
        assert "old" not in screen_text(app)


async def test_a_row_is_chosen_by_its_key_wherever_it_is(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        source = FakeSource(log, 10_000, key=lambda row: row.seq, stable=True)
        view = LogView(source)
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: view.loaded)
        assert await view.select_key(7123)
        await settle(pilot, lambda: "line 7123" in screen_text(app))
        assert view.cursor == 7123
        assert not await view.select_key(20_000)


class Watching(Bench):
    """A screen that asks anew when the record changes."""

    def reload(self) -> None:
        for view in self._widgets:
            view.reload()  # type: ignore[attr-defined]


async def test_a_change_of_the_record_reaches_the_screen_by_itself(
    app_for: AppFor, home: Path
) -> None:
    store = StoreBuilder(home)
    run = store.run("brave-otter")
    app = app_for(watch=True)
    try:
        async with app.run_test(size=(100, 24)) as pilot:
            table, view = RunTable(RunSource(app.access)), LogView(LogSource(app.access, run))
            await app.push_screen(Watching(table, view))
            app.watch_closely(True)
            await settle(pilot, lambda: "brave-otter" in screen_text(app))
            store.run("calm-heron")
            store.log(run, msg="a new line")
            await settle(pilot, lambda: "calm-heron" in screen_text(app))
            await settle(pilot, lambda: "a new line" in screen_text(app))
            assert "◉ live" in screen_text(app)
        assert app.live is not None
        assert not app.live._thread.is_alive()
    finally:
        store.close()


async def test_a_record_that_is_deleted_while_open_becomes_an_empty_list(
    app_for: AppFor, home: Path
) -> None:
    store = StoreBuilder(home)
    store.run("brave-otter")
    app = app_for(watch=True)
    async with app.run_test(size=(100, 24)) as pilot:
        table = RunTable(RunSource(app.access))
        await app.push_screen(Watching(table))
        app.watch_closely(True)
        await settle(pilot, lambda: "brave-otter" in screen_text(app))
        store.close()
        for path in home.glob("flowdeck.db*"):
            path.unlink()
        await settle(pilot, lambda: "Nothing matches" in screen_text(app))
        await settle(pilot, lambda: "no record yet" in screen_text(app))


class Late(MemorySource[TaskRow]):
    """Looks at once, but holds one answer back until its gate opens: the view's rows are older."""

    def __init__(self) -> None:
        super().__init__([task_row(n, f"row{n}") for n in range(9)], key=lambda row: row.record.id)
        self.gate = asyncio.Event()
        self.hold = False

    async def run(self, work: Callable[[], Any]) -> Any:
        answer = work()
        if self.hold:
            self.hold = False
            await self.gate.wait()
        return answer


@pytest.mark.parametrize("how", ["a key", "its name"])
async def test_a_cursor_that_moves_while_rows_change_places_stays_with_its_row(
    app_for: AppFor, how: str
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        source = Late()
        view = TaskTable(source)
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: view.loaded)
        chosen = view.source.key(source.rows[1])
        source.hold = True
        source.rows = list(reversed(source.rows))
        view.reload()
        await settle(pilot, lambda: not source.hold)  # the new order is on its way
        if how == "a key":
            view.action_move_down()
            assert view.current_key == chosen
        else:
            assert await view.select_key(chosen)
        source.gate.set()
        await settle(pilot, lambda: view.cursor == 7)
        assert view.current_key == chosen
        assert view.current is not None
        assert view.source.key(view.current) == chosen
