"""The screen of a task run: frames, source, variables, attempts, and what the keys do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import SIZES, screen_text, settle
from run_screen_store import (
    FAILED_RUN,
    HOSTILE_RUN,
    LIVE,
    SOURCE,
    add_failure,
    add_hostile,
    exception,
    fill,
    frame,
)

from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.parts.fact_list import PanelView
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.screens.task.frames import TracebackPane
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_store.states import FAILED

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from flowdeck_app.app import FlowdeckApp
    from store_builder import StoreBuilder

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    builder = fill(home)
    yield builder
    builder.close()


async def opened(app: FlowdeckApp, pilot: Pilot[Any], run_id: int, no: int) -> TaskScreen:
    """Open a task run and wait until its first tab is there."""
    app.open_task(run_id, no)
    await settle(pilot, lambda: isinstance(app.screen, TaskScreen))
    screen = app.screen
    assert isinstance(screen, TaskScreen)
    await shown(screen, pilot)
    return screen


async def shown(screen: TaskScreen, pilot: Pilot[Any]) -> None:
    await settle(pilot, lambda: screen.known is not None)
    if screen.has_class("-failed"):
        pane = screen.query_one(TracebackPane)
        await settle(pilot, lambda: pane.frames.count > 0)
        await settle(pilot, lambda: pane.query_one("#source", PanelView).loaded)
    await pilot.pause()


class TestTraceback:
    async def test_begins_at_the_innermost_frame_of_the_users(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            item = screen.query_one(TracebackPane).item
            assert item is not None
            assert item.is_user
            text = screen_text(pilot.app)
            assert "57 ❯" in text
            assert "^^^^^^^^^^^^^^^^^^" in text
            assert "hidden: the name" in text
            assert "2 library frames" in text

    async def test_all_frames_and_folded_again(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            frames = screen.query_one(TracebackPane).frames
            before = frames.count
            await pilot.press("a")
            await settle(pilot, lambda: frames.count == before + 1)
            await pilot.press("a")
            await settle(pilot, lambda: frames.count == before)

    async def test_the_cause_has_frames_of_its_own(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            await pilot.press("G")
            await settle(pilot, lambda: "_sync.py:133 in" in screen_text(pilot.app))
            assert "caused by" in screen_text(pilot.app)
            assert screen.frame is not None

    async def test_members_of_a_group(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 3)
            text = screen_text(pilot.app)
            assert "1 of 2" in text
            assert "KeyError" in text

    async def test_a_message_and_its_notes_in_full(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 1)
            await pilot.press("g")
            await settle(pilot, lambda: "while syncing the invoices" in screen_text(pilot.app))

    async def test_attempts_are_walked(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 1)
            assert "attempt 3 of 3" in screen_text(pilot.app)
            await pilot.press("comma")
            await settle(pilot, lambda: "attempt 2 of 3" in screen_text(pilot.app))
            assert "Attempt 2 did not fail" in screen_text(pilot.app)
            await pilot.press("comma")
            await settle(pilot, lambda: "429 Too Many Requests" in screen_text(pilot.app))
            await pilot.press("full_stop", "full_stop")
            await settle(pilot, lambda: "502 Bad Gateway" in screen_text(pilot.app))

    async def test_where_else_it_failed(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 1)
            assert "same error in 2 other runs: " in screen_text(pilot.app)

    async def test_the_next_failure_takes_its_place(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            await pilot.press("f")
            await settle(pilot, lambda: "2 rows are bad" in screen_text(pilot.app))
            assert (screen.run_id, screen.no) == (FAILED_RUN, 3)
            await pilot.press("escape")
            assert pilot.app.screen is not screen


class TestTodaysFile:
    def _failed_in(self, store: StoreBuilder, path: Path) -> None:
        store.task(FAILED_RUN, 9, name="here", state=FAILED, state_msg="x")
        add_failure(store, FAILED_RUN, 9, exception(frames=[frame(file=str(path))]))

    async def test_a_changed_file_is_told_and_compared(
        self, app_for: AppFor, store: StoreBuilder, tmp_path: Path
    ) -> None:
        path = tmp_path / "invoices.py"
        changed = [*SOURCE[:3], "        r = await http.get(url, timeout=30)", *SOURCE[4:]]
        path.write_text("\n".join([""] * 60 + changed), "utf-8")
        self._failed_in(store, path)
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 9)
            await settle(pilot, lambda: "The file has changed" in screen_text(pilot.app))
            await pilot.press("d")
            await settle(pilot, lambda: isinstance(pilot.app.screen, MessageScreen))
            text = screen_text(pilot.app)
            assert "-        r = await http.get(url, timeout=10)" in text
            assert "+        r = await http.get(url, timeout=30)" in text

    async def test_the_editor_opens_where_the_line_is_today(
        self, app_for: AppFor, store: StoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "invoices.py"
        path.write_text("\n".join([""] * 99 + SOURCE), "utf-8")
        self._failed_in(store, path)
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 9)
            await settle(pilot, lambda: "The lines have moved" in screen_text(pilot.app))
            opened_at: list[Any] = []
            monkeypatch.setattr(pilot.app, "edit", lambda *place: opened_at.append(place))
            await pilot.press("o")
            assert opened_at == [(str(path), 104)]

    async def test_a_file_that_is_gone_is_not_opened(
        self, app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with app_for().run_test(size=(100, 30), notifications=True) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 1)
            opened_at: list[Any] = []
            monkeypatch.setattr(pilot.app, "edit", lambda *place: opened_at.append(place))
            await pilot.press("o")
            await settle(pilot, lambda: "is not a file on" in screen_text(pilot.app))
            assert opened_at == []


class TestOtherTabs:
    async def test_inputs_lead_to_the_upstream(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            screen.query_one("#task-tabs", TabStrip).choose("inputs")
            view = screen.query_one("#inputs", PanelView)
            await settle(pilot, lambda: view.count > 0 and view.has_focus)
            text = screen_text(pilot.app)
            assert "AsyncClient(...)" in text
            assert "Goes to" in text
            await view.select_key(("edge", 0))
            await pilot.press("enter")
            await settle(pilot, lambda: getattr(pilot.app.screen, "no", 0) == 2)

    async def test_a_task_that_did_not_fail_has_no_traceback(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE, 10)
            assert "Traceback" not in screen_text(pilot.app)
            log = screen.query_one("#task-log", LogView)
            await settle(pilot, lambda: log.count == 3 and log.has_focus)

    async def test_states_with_steps(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            screen.query_one("#task-tabs", TabStrip).choose("states")
            await settle(pilot, lambda: "↻ retrying" in screen_text(pilot.app))
            assert "waited 7.0s" in screen_text(pilot.app)
            assert "ran 6.4s" in screen_text(pilot.app)

    async def test_a_search_stays_in_the_view(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN, 1)
            await pilot.press("slash", *"_sync", "enter")
            frames = screen.query_one(TracebackPane).frames
            await settle(pilot, lambda: frames.searched == "_sync" and frames.cursor > 3)
            await pilot.press("escape")
            await settle(pilot, lambda: frames.searched == "")
            assert pilot.app.screen is screen


class TestTakingOut:
    async def test_text_and_markdown(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN, 1)
            await pilot.press("y")
            await settle(pilot, lambda: "direct cause of" in pilot.app.clipboard)
            assert 'File "/flows/invoices.py", line 57, in fetch' in pilot.app.clipboard
            await pilot.press("Y")
            await settle(pilot, lambda: "```pytb" in pilot.app.clipboard)
            assert "### `fetch[3]` failed: HTTPError: 502 Bad Gateway" in pilot.app.clipboard
            assert "<hidden>" not in pilot.app.clipboard

    async def test_a_running_task_can_be_cancelled(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE, 10)
            await pilot.press("x")
            await settle(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            await pilot.press("y")

            def asked() -> bool:
                sql = "SELECT run_id, task_no, verb FROM control"
                return [tuple(row) for row in store.db.execute(sql)] == [(LIVE, 10, "cancel")]

            await settle(pilot, asked)


class TestWrong:
    async def test_a_task_that_is_not_there(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            pilot.app.open_task(FAILED_RUN, 77)
            await settle(pilot, lambda: "3.77 is not in the record" in screen_text(pilot.app))
            await pilot.press("a", "d", "y", "Y", "o", "f", "comma")
            assert isinstance(pilot.app.screen, TaskScreen)

    @pytest.mark.parametrize("size", SIZES)
    async def test_hostile_texts_in_every_tab(
        self, app_for: AppFor, store: StoreBuilder, size: tuple[int, int]
    ) -> None:
        add_hostile(store)
        async with app_for().run_test(size=size) as pilot:
            screen = await opened(pilot.app, pilot, HOSTILE_RUN, 1)
            for no in range(1, 11):
                assert screen.no == no
                for tab in ("states", "inputs", "logs", "result", "traceback"):
                    screen.query_one("#task-tabs", TabStrip).choose(tab)
                    await pilot.pause()
                    assert screen_text(pilot.app)
                if no < 10:
                    await pilot.press("f")
                    await settle(pilot, lambda no=no: screen.no == no + 1)  # type: ignore[misc]
                    await shown(screen, pilot)
            await pilot.press("Y")
            await settle(pilot, lambda: "pytb" in pilot.app.clipboard)
