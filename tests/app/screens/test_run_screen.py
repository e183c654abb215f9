"""The screen of a run: what the keys do, what is shown of which record, and that it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW
from app_harness import SIZES, screen_text, settle
from run_screen_steps import opened, to_tab
from run_screen_store import CHILD, EMPTY, FAILED_RUN, HOSTILE_RUN, LIVE, add_hostile, fill

from flowdeck_app.live import StoreChanged
from flowdeck_app.screens.parts.confirm import ConfirmScreen
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.screens.run import path
from flowdeck_app.screens.run.screen import RunScreen
from flowdeck_app.screens.run.tables import GroupTable, ResultTable
from flowdeck_app.screens.task.screen import TaskScreen
from flowdeck_app.views.critical_path import read_marks
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.query_bar import QueryBar
from flowdeck_app.widgets.tabs import TabStrip
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from pathlib import Path

    from store_builder import StoreBuilder

pytestmark = pytest.mark.anyio
AppFor = Callable[..., Any]
TABS = ("tasks", "timeline", "graph", "logs", "results", "params")


@pytest.fixture
def store(home: Path) -> Iterator[StoreBuilder]:
    builder = fill(home)
    yield builder
    builder.close()


def names(screen: RunScreen) -> list[str]:
    rows = [screen.table.row_at(place) for place in range(screen.table.count)]
    return [row.record.name for row in rows if isinstance(row, TaskRow)]


class TestHeader:
    async def test_says_state_counts_and_an_estimate(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE)
            text = screen_text(pilot.app)
            assert "RUNNING" in text
            assert "10/14" in text
            assert "18s left, a guess" in text
            assert "slowest fetch[6] 12.4s" in text

    async def test_says_what_a_run_waits_for_in_which_nothing_goes_on(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        note = {
            "stall": True,
            "since_us": NOW,
            "causes": [{"kind": "slot", "count": 2, "text": "clean[1] waits for [b]a slot"}],
        }
        store._insert(
            "provenance", run_id=LIVE, topic="stall", name="", us=NOW, data=json.dumps(note)
        )
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE)
            assert "Nothing has gone on for 0" in screen_text(pilot.app)
            assert ": clean[1] waits for [b]a slot." in screen_text(pilot.app)
            store.db.execute("UPDATE provenance SET data='{}' WHERE topic='stall'")
            store.db.commit()
            pilot.app.post_message(StoreChanged(frozenset({LIVE})))
            await settle(pilot, lambda: "Nothing has gone on" not in screen_text(pilot.app))

    async def test_names_the_parent_of_a_subflow_run(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, CHILD)
            assert screen.trail() == ("Runs", "etl", "brave-otter", "quiet-wren")

    async def test_news_of_the_run_change_the_counts(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            store.task(LIVE, 20, name="late", state=COMPLETED)
            pilot.app.post_message(StoreChanged(frozenset({LIVE})))
            await settle(pilot, lambda: "11/15" in screen_text(pilot.app))
            assert "late" not in names(screen)[:1]

    async def test_news_of_other_runs_are_not_read(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            store.task(LIVE, 20, name="late", state=COMPLETED)
            pilot.app.post_message(StoreChanged(frozenset({FAILED_RUN})))
            for _ in range(5):
                await pilot.pause()
            assert screen.run is not None
            assert screen.run.n_tasks == 14


class TestFilters:
    async def test_a_chip_filters_and_esc_takes_it_back(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            screen.query_one("#run-chips").picked("failed")  # type: ignore[attr-defined]
            await settle(pilot, lambda: names(screen) == ["fetch[6]"])
            await pilot.press("escape")
            await settle(pilot, lambda: screen.table.count == 14)
            assert pilot.app.screen is screen

    async def test_problems_only(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await pilot.press("exclamation_mark")
            await settle(pilot, lambda: set(names(screen)) == {"fetch[6]", "fetch[7]", "clean[6]"})
            await pilot.press("exclamation_mark")
            await settle(pilot, lambda: screen.table.count == 14)

    async def test_a_typed_filter_and_an_empty_answer(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await pilot.press("slash", *"clean", "enter")
            await settle(pilot, lambda: screen.table.count == 3)
            assert screen.focused is screen.table
            screen.query_one("#task-query", QueryBar).open("nothing-like-this")
            await settle(pilot, lambda: "Nothing matches" in screen_text(pilot.app))

    async def test_the_order_is_remembered(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            screen.table.want_order("name")
            await settle(pilot, lambda: names(screen)[:1] == ["audit"])
            assert pilot.app.state.get("run.tasks", "order") == "name"

    async def test_groups_and_from_a_group_to_its_tasks(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await pilot.press("b")
            table = screen.query_one("#group-table", GroupTable)
            await settle(pilot, lambda: table.count == 4 and table.has_focus)
            await pilot.press("j", "enter")
            await settle(pilot, lambda: screen.table.display and screen.table.count == 9)
            assert all(name.startswith("fetch") for name in names(screen))

    async def test_levels_of_the_log(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await to_tab(screen, pilot, "logs")
            log = screen.query_one("#run-log", LogView)
            await settle(pilot, lambda: log.count == 5)
            await pilot.press("exclamation_mark")
            await settle(pilot, lambda: log.count == 1)
            await pilot.press("escape")
            await settle(pilot, lambda: log.count == 5)

    async def test_what_the_log_is_searched_for_is_marked_and_counted(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await to_tab(screen, pilot, "logs")
            log = screen.query_one("#run-log", LogView)
            await settle(pilot, lambda: log.count == 5)
            await pilot.press("slash", *"flow", "enter")
            await settle(pilot, lambda: 0 < log.count < 5 and log.current is not None)
            await settle(pilot, lambda: f"{log.count}/{log.count} " in screen_text(pilot.app))
            assert log.marked == ("flow",)

    async def test_the_log_names_its_tasks(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await to_tab(screen, pilot, "logs")
            await settle(pilot, lambda: "clean[0]" in screen_text(pilot.app))


class TestMoving:
    async def test_enter_opens_the_task(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE)
            await pilot.press("enter")
            await settle(pilot, lambda: isinstance(pilot.app.screen, TaskScreen))
            assert (pilot.app.screen.run_id, pilot.app.screen.no) == (LIVE, 8)  # type: ignore[attr-defined]

    async def test_enter_on_a_stand_in_opens_the_subflow_and_esc_comes_back(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await screen.table.select_key(LIVE << 24 | 14)
            await pilot.press("enter")
            await settle(pilot, lambda: getattr(pilot.app.screen, "run_id", 0) == CHILD)
            await pilot.press("escape")
            assert pilot.app.screen is screen

    async def test_the_next_failure_is_found_behind_a_filter(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            screen.query_one("#run-chips").picked("completed")  # type: ignore[attr-defined]
            await settle(pilot, lambda: screen.table.count == 7)
            await pilot.press("f")
            await settle(pilot, lambda: screen.table.current_key == LIVE << 24 | 8)

    async def test_the_flows_own_error_opens(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, FAILED_RUN)
            await pilot.press("e")
            await settle(pilot, lambda: "RuntimeError: the flow itself" in screen_text(pilot.app))

    async def test_the_preview_follows_the_cursor_and_hides(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await screen.table.select_key(LIVE << 24 | 10)
            await settle(pilot, lambda: "7 rows clipped" in screen_text(pilot.app))
            await pilot.press("v")
            await settle(pilot, lambda: "7 rows clipped" not in screen_text(pilot.app))

    async def test_every_tab_shows_what_it_is_for(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        wanted = {"timeline": "━", "graph": "✓ prepare", "logs": "Beginning flow run",
                  "results": "PosixPath", "params": "2026-11-22"}  # fmt: skip
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            for tab, text in wanted.items():
                await to_tab(screen, pilot, tab)
                await settle(pilot, lambda text=text: text in screen_text(pilot.app))  # type: ignore[misc]
            assert screen.query_one("#results", ResultTable).count == 2


class TestStopping:
    async def test_timeline_and_graph_mark_the_critical_path_and_say_what_it_took(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            app = pilot.app
            screen = await opened(app, pilot, FAILED_RUN)
            assert "critical path" not in screen_text(app)
            for tab, marked in (("timeline", "fetch[3]"), ("graph", "publish")):
                await to_tab(screen, pilot, tab)
                await settle(pilot, lambda: "* critical path  20% running" in screen_text(app))
                lines = screen_text(app).splitlines()
                assert any(marked in line and "*" in line for line in lines)
            await to_tab(screen, pilot, "logs")
            await settle(pilot, lambda: "critical path" not in screen_text(app))

    async def test_the_path_of_a_run_that_has_ended_is_read_once(
        self, app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[int] = []

        def counted(reader: Any, run: Any, now_us: int) -> Any:
            read.append(run.id)
            return read_marks(reader, run, now_us)

        monkeypatch.setattr(path, "read_marks", counted)
        monkeypatch.setattr(path, "PATH_REST", 0.0)
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN)
            await to_tab(screen, pilot, "graph")
            await settle(pilot, lambda: "critical path" in screen_text(pilot.app))
            for _ in range(3):
                screen.reload()
                await pilot.pause(0.05)
            await settle(pilot, lambda: not any(w.is_running for w in pilot.app.workers))
            assert read == [FAILED_RUN]

    async def test_cancel_asks_with_the_exact_run_then_again_kills(
        self, app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        killed: list[int] = []
        monkeypatch.setattr(
            "flowdeck_app.control.cancel.kill",
            lambda home, run_id: killed.append(run_id) or "ended",
        )
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE)
            await pilot.press("c")
            await settle(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            assert "Cancel run brave-otter (#2) of etl?" in screen_text(pilot.app)
            await pilot.press("y")
            await settle(pilot, lambda: _requests(store) == [(LIVE, 0, "cancel")])
            await settle(pilot, lambda: pilot.app.screen.stopping.asked_at > 0)  # type: ignore[attr-defined]
            await pilot.press("c")
            await settle(pilot, lambda: killed == [LIVE])

    async def test_no_is_the_answer_of_enter(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await pilot.press("c")
            await settle(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            await pilot.press("enter")
            await settle(pilot, lambda: pilot.app.screen is screen)
            assert _requests(store) == []

    async def test_a_running_task_is_cancelled_by_its_number(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            await screen.table.select_key(LIVE << 24 | 10)
            await pilot.press("x")
            await settle(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            assert "Cancel task clean[0] (#2.10) of run brave-otter?" in screen_text(pilot.app)
            await pilot.press("y")
            await settle(pilot, lambda: _requests(store) == [(LIVE, 10, "cancel")])

    async def test_what_is_over_cannot_be_cancelled(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN)
            await pilot.press("c", "x")
            await pilot.pause()
            assert pilot.app.screen is screen
            assert not screen.can_cancel


def _requests(store: StoreBuilder) -> list[tuple[int, int, str]]:
    rows = store.db.execute("SELECT run_id, task_no, verb FROM control ORDER BY id").fetchall()
    return [tuple(row) for row in rows]  # type: ignore[misc]


class TestTakingOut:
    async def test_export_writes_the_filtered_tasks(
        self, app_for: AppFor, store: StoreBuilder, tmp_path: Path
    ) -> None:
        async with app_for(folder=tmp_path).run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)
            screen.query_one("#run-chips").picked("failed")  # type: ignore[attr-defined]
            await settle(pilot, lambda: screen.table.count == 1)
            await pilot.press("J")
            await settle(pilot, lambda: "as filtered" in screen_text(pilot.app))
            await pilot.press("down", "enter")
            path = tmp_path / "brave-otter-tasks.csv"
            await settle(pilot, path.exists)
            await settle(
                pilot, lambda: path.read_text("utf-8").count("fetch[6]") == 2
            )  # name and label
            assert "fetch[0]" not in path.read_text("utf-8")

    async def test_copy_takes_the_number_and_markdown_the_run(
        self, app_for: AppFor, store: StoreBuilder
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, LIVE)
            await pilot.press("y")
            await settle(pilot, lambda: pilot.app.clipboard == "2.8")
            await pilot.press("Y")
            await settle(pilot, lambda: "### Run of `etl`" in pilot.app.clipboard)
            assert "`fetch[6]`: `HTTPError: 502 Bad Gateway`" in pilot.app.clipboard

    async def test_rerun_hands_the_run_to_the_launch_dialog(
        self, app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, FAILED_RUN)
            asked: list[Any] = []
            monkeypatch.setattr(
                pilot.app, "open_launch", lambda flow, **given: asked.append((flow, given))
            )
            await pilot.press("R")
            assert asked == [("/flows/etl.py:etl", {"rerun": screen.run})]


class TestEmptyAndWrong:
    async def test_a_run_without_tasks(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            await opened(pilot.app, pilot, EMPTY)
            assert "No tasks yet" in screen_text(pilot.app)

    async def test_a_run_that_is_not_there(self, app_for: AppFor, store: StoreBuilder) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            pilot.app.open_run(99)
            await settle(pilot, lambda: "is not in the record" in screen_text(pilot.app))
            assert "esc goes back" in screen_text(pilot.app)

    async def test_a_record_that_does_not_answer_keeps_the_rows(
        self, app_for: AppFor, store: StoreBuilder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with app_for().run_test(size=(100, 30)) as pilot:
            screen = await opened(pilot.app, pilot, LIVE)

            async def broken(*_: object) -> None:
                raise OSError("disk [/foo] on fire")

            monkeypatch.setattr(pilot.app.access, "ask", broken)
            screen.reload_header()
            await settle(pilot, lambda: "disk [/foo] on fire" in screen_text(pilot.app))
            assert "fetch[6]" in screen_text(pilot.app)

    @pytest.mark.parametrize("size", SIZES)
    async def test_hostile_texts_in_every_tab(
        self, app_for: AppFor, store: StoreBuilder, size: tuple[int, int]
    ) -> None:
        add_hostile(store)
        async with app_for().run_test(size=size) as pilot:
            screen = await opened(pilot.app, pilot, HOSTILE_RUN)
            for tab in TABS[1:]:
                await to_tab(screen, pilot, tab)
                assert screen.query_one("#run-tabs", TabStrip).active == tab
                assert screen_text(pilot.app)
            await to_tab(screen, pilot, "logs")
            log = screen.query_one("#run-log", LogView)
            await settle(pilot, lambda: log.count == 20 and log.current is not None)
            await pilot.press("w", "enter")
            await settle(pilot, lambda: isinstance(pilot.app.screen, MessageScreen))
