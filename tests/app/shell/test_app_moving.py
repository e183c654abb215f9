"""Going places, hearing of news, what is remembered, how the app is left."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from app_harness import Bench, screen_text, settle
from app_sample import Sample, sample
from textual.widgets import Input

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing import theme
from flowdeck_app.drawing.times import TimeMode
from flowdeck_app.live import Health, HealthChanged, StoreChanged, StoreHealth
from flowdeck_app.screens.parts.message import MessageScreen
from flowdeck_app.widgets.breadcrumb import Breadcrumb
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.task_table import TaskTable
from store_builder import StoreBuilder

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]
Snapshot = Callable[..., Awaitable[str]]


# -- going places ----------------------------------------------------------------------------


async def test_esc_clears_the_selection_then_unzooms_then_leaves(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await sample(app, pilot)
        await pilot.press("z")
        assert screen.maximized is not None
        await pilot.press("escape")
        assert screen.maximized is None
        assert app.screen is screen
        await pilot.press("escape")
        await settle(pilot, lambda: app.screen is not screen)


async def test_the_first_screen_is_never_left(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        await sample(app, pilot)
        app.back_to(99)
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_a_click_on_the_trail_goes_back_to_that_level(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        first = await sample(app, pilot)
        await sample(app, pilot)
        line = screen_text(app).split("\n")[0]
        await pilot.click("Breadcrumb", offset=(line.index("etl_daily"), 0))
        await settle(pilot, lambda: app.screen is first)


async def test_runs_in_the_trail_leads_to_the_history_also_from_home(
    app_for: AppFor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # with all screens
    with contextlib.closing(StoreBuilder(home)) as store:
        run_id = store.run("brave-otter")
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        for name, goal in (("Runs", "runs"), ("flowdeck", "home")):
            app.show_mode("home")
            app.open_run(run_id)
            await settle(pilot, lambda: "› brave-otter" in screen_text(app).split("\n")[0])
            line = screen_text(app).split("\n")[0]
            await pilot.click("Breadcrumb", offset=(line.index(name), 0))
            await settle(pilot, lambda goal=goal: app.current_mode == goal)
            assert len(app.screen_stack) == 1


@pytest.mark.parametrize("key", ["1", "2"])
async def test_1_and_2_lead_from_a_run_to_home_and_to_the_history(
    app_for: AppFor, home: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.undo()  # with all screens
    with contextlib.closing(StoreBuilder(home)) as store:
        run_id = store.run("brave-otter")
    wanted = {"1": "home", "2": "runs"}[key]
    for start in ("home", "runs"):
        app = app_for()
        async with app.run_test(size=(100, 30)) as pilot:
            app.show_mode(start)
            app.open_run(run_id)
            await settle(pilot, lambda app=app: "› brave-otter" in screen_text(app).split("\n")[0])
            await pilot.press(key)
            await settle(pilot, lambda app=app: app.current_mode == wanted)
            await settle(
                pilot, lambda app=app: "brave-otter" not in screen_text(app).split("\n")[0]
            )
            assert len(app.screen_stack) == 1


# -- the record ------------------------------------------------------------------------------


async def test_only_the_visible_screen_hears_of_news_and_hidden_ones_catch_up(
    app_for: AppFor,
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        below = await sample(app, pilot)
        above = await sample(app, pilot)
        base = below.reloads
        app.post_message(StoreChanged())
        await settle(pilot, lambda: above.reloads == 2)
        assert below.reloads == base
        app.pop_screen()
        await settle(pilot, lambda: below.reloads == base + 1)


async def test_what_was_to_follow_a_drawing_does_not_once_its_widget_has_gone(
    app_for: AppFor,
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        table = (await sample(app, pilot)).query_one(TaskTable)
        called: list[str] = []
        table.call_after_refresh(called.append, "there")
        await settle(pilot, lambda: called == ["there"])
        table.call_after_refresh(called.append, "gone")
        await table.remove()
        app.screen.call_after_refresh(called.append, "after it")
        await settle(pilot, lambda: called[-1] == "after it")
        assert "gone" not in called


async def test_news_before_a_screen_is_composed_does_no_harm(app_for: AppFor) -> None:
    class Eager(Sample):
        def reload(self) -> None:
            super().reload()
            self.query_one(TaskTable).reload()

    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = Eager()
        screen.hear_news(StoreChanged())
        screen.show_health(StoreHealth(Health.STALE))
        assert screen.reloads == 0
        await app.push_screen(screen)
        await settle(pilot, lambda: screen.reloads == 1)


async def test_news_about_the_record_before_a_screen_is_composed_do_no_harm(
    app_for: AppFor,
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        early = Bench()
        early.show_health(StoreHealth(Health.STALE))
        await app.push_screen(early)
        await early.query(Breadcrumb).remove()  # mounted, and without its children
        early.show_health(StoreHealth(Health.STALE))
        await pilot.pause()


async def test_a_dialog_does_not_stop_the_screen_below_from_hearing(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await sample(app, pilot)
        app.show_message("a", "b")
        before = screen.reloads
        app.post_message(StoreChanged())
        await settle(pilot, lambda: screen.reloads == before + 1)


async def test_the_breadcrumb_says_how_the_record_answers(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 24)) as pilot:
        screen = await sample(app, pilot)
        bar = screen.query_one(Breadcrumb)
        for health, part in ((Health.READ_ONLY, "■ read-only"), (Health.MISSING, "no record yet")):
            app.post_message(HealthChanged(StoreHealth(health)))
            await settle(pilot, lambda part=part: part in screen_text(app))  # type: ignore[misc]
        assert bar.store.health is Health.MISSING


async def test_a_damaged_record_is_told_in_full(app_for: AppFor, snapshot: Snapshot) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        text = "/home/me/flowdeck.db is not a readable flowdeck store: file is not a database."
        app.post_message(HealthChanged(StoreHealth(Health.CORRUPT, text)))
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        await snapshot(pilot, "damaged")


async def test_times_are_shown_another_way_everywhere_and_remembered(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await sample(app, pilot)
        screen.query_one(LogView).focus()
        await pilot.press("T", "T")
        assert app.times is TimeMode.OFF
        await pilot.pause()
        assert "10:41" not in screen_text(app).split("Logs")[1].split("completed")[-1]
        assert app.state.get("times") == "off"


async def test_what_is_remembered_is_there_again(app_for: AppFor, home: Path) -> None:
    app = app_for(remember=True)
    async with app.run_test(size=(80, 24)):
        app.set_theme(theme.LIGHT)
        app.set_times(TimeMode.ABSOLUTE)
    again = app_for(remember=True)
    assert (again.theme, again.times) == (theme.LIGHT, TimeMode.ABSOLUTE)
    assert (home / "ui.json").stat().st_mode & 0o077 == 0


async def test_letters_typed_into_an_input_do_not_act(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        box = Input()
        screen = Bench(box)
        await app.push_screen(screen)
        box.focus()
        await pilot.press(*"q1:?")
        assert box.value == "q1:?"
        assert app.screen is screen


async def test_ctrl_c_without_a_selection_says_how_to_quit(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await sample(app, pilot)
        await pilot.press("ctrl+c")
        await settle(pilot, lambda: bool(app._notifications))
        assert "q quits" in next(iter(app._notifications)).message


async def test_q_leaves_with_exit_code_zero(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        await sample(app, pilot)
        await pilot.press("q")
        await settle(pilot, lambda: app._exit)
    assert app.return_code == 0
