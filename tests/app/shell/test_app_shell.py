"""The app round its screens: breadcrumb, footer, sizes, themes, keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
from app_harness import SIZES, screen_text, settle
from app_sample import sample

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing import theme
from flowdeck_app.widgets.footer import FooterKey, arrange
from flowdeck_app.widgets.task_table import TaskTable

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]
Snapshot = Callable[..., Awaitable[str]]


@pytest.mark.parametrize("size", SIZES)
async def test_a_full_screen_at_every_size(
    app_for: AppFor, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        await sample(app, pilot)
        await snapshot(pilot, f"sample-{size[0]}x{size[1]}")


async def test_a_full_screen_in_ascii(app_for: AppFor, snapshot: Snapshot) -> None:
    app = app_for(ascii_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        text = screen_text(app)
        assert text.isascii()
        await snapshot(pilot, "sample-ascii")


async def test_a_full_screen_without_colour(
    app_for: AppFor, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    import os

    monkeypatch.setenv("NO_COLOR", "1")
    app = app_for()
    assert os.environ["NO_COLOR"] == "1"  # what the app starts sees it too
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        await snapshot(pilot, "sample-100x30")
        colours = {
            segment.style.color.triplet
            for strip in app.screen._compositor.render_strips()
            for segment in strip.apply_filter(app._filters[-1], app.screen.styles.background)
            if segment.style and segment.style.color and segment.style.color.triplet
        }
        assert all(c.red == c.green == c.blue for c in colours)


@pytest.mark.parametrize(
    "name", [*(t.name for t in theme.THEMES), "nord", "ansi-dark", "ansi-light"]
)
async def test_every_theme_draws_the_same_text(
    app_for: AppFor, snapshot: Snapshot, name: str
) -> None:
    app = app_for(theme_name=name)
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        assert app.theme == name
        await snapshot(pilot, "sample-100x30")


async def test_changing_the_theme_changes_the_colours_of_rows(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await sample(app, pilot)
        table = screen.query_one(TaskTable)
        before = {segment.style for segment in table.render_line(1)}
        app.set_theme(theme.LIGHT)
        await pilot.pause()
        assert before.isdisjoint({segment.style for segment in table.render_line(1)})


@pytest.mark.parametrize("size", [(59, 20), (80, 14)])
async def test_below_the_least_size_one_line_says_so(
    app_for: AppFor, size: tuple[int, int]
) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        await sample(app, pilot)
        assert screen_text(app).strip() == f"needs 60x15, have {size[0]}x{size[1]}"
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert "fetch[3]" in screen_text(app)


# -- footer ----------------------------------------------------------------------------------


def entry(name: str, rank: int) -> FooterKey:
    return FooterKey(name, name[0], name[0], name.title(), rank)


def test_the_footer_has_words_or_nothing_and_never_drops_help_and_quit() -> None:
    found = [
        entry("open", 10),
        entry("cancel", 20),
        entry("zoom", 60),
        entry("palette", 80),
        FooterKey("app.help", "?", "?", "Help", 90),
        FooterKey("app.quit", "q", "q", "Quit", 99),
    ]

    def names(cells: int) -> list[str]:
        return [entry.action_id for entry in arrange(found, cells)]

    way_out = ["app.help", "app.quit"]
    assert names(100) == ["open", "cancel", "zoom", "palette", *way_out]
    assert names(45) == ["open", "cancel", "palette", *way_out]
    assert names(25) == ["open", *way_out]
    assert names(8) == names(3) == way_out


async def test_a_click_on_a_footer_key_presses_it(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await sample(app, pilot)
        line = screen_text(app).split("\n")[29]
        await pilot.click("KeyFooter", offset=(line.index("c Cancel run"), 0))
        await settle(pilot, lambda: screen.cancelled == 1)


async def test_a_guard_greys_out_or_hides_a_key(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await sample(app, pilot)
        screen.can_cancel = None
        screen.refresh_bindings()
        await pilot.pause()
        assert "c Cancel run" in screen_text(app)
        await pilot.press("c")
        assert screen.cancelled == 0
        screen.can_cancel = False
        screen.refresh_bindings()
        await settle(pilot, lambda: "Cancel run" not in screen_text(app))
        await pilot.press("c")
        assert screen.cancelled == 0


async def test_a_remapped_key_acts_and_is_shown(app_for: AppFor) -> None:
    app = app_for(keymap={"run.cancel": "K"})
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await sample(app, pilot)
        assert "K Cancel run" in screen_text(app)
        await pilot.press("K")
        assert screen.cancelled == 1
        await pilot.press("c")
        assert screen.cancelled == 1


async def test_a_bad_keymap_is_told_and_the_app_starts(app_for: AppFor) -> None:
    app = app_for(keymap={"run.cancel": "x"})
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await sample(app, pilot)
        text = next(iter(app._notifications)).message
        assert "'run.cancel_task' and 'run.cancel'" in text
