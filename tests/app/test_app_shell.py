"""The app round its screens: breadcrumb, footer, palette, help, dialogs, sizes, themes, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from app_data import HOSTILE, log, task, task_row, upstream
from app_harness import SIZES, Bench, screen_text, settle
from textual.widgets import Input, OptionList

from flowdeck_app import theme
from flowdeck_app.actions import bindings
from flowdeck_app.app import FlowdeckApp
from flowdeck_app.live import Health, HealthChanged, StoreChanged, StoreHealth
from flowdeck_app.rows import TaskRow
from flowdeck_app.screens.confirm import ConfirmScreen
from flowdeck_app.screens.help import HelpScreen, help_rows
from flowdeck_app.screens.message import MessageScreen
from flowdeck_app.views.times import TimeMode
from flowdeck_app.widgets.breadcrumb import Breadcrumb
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.footer import Entry, arrange
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.source import MemorySource
from flowdeck_app.widgets.strip_widget import Piece
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store import states

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.binding import BindingType

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]
Snapshot = Callable[[Any, str], None]


class Sample(Bench):
    """What a run's screen looks like, over rows in memory."""

    BINDINGS: list[BindingType] = [  # noqa: RUF012 - as Textual declares it
        *bindings("run.cancel", "run.cancel_task", "find.filter", "find.problems", "go.next_tab",
                  "go.next_failure", "take.copy", "run.again")
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__(names=("Runs", "etl_daily", "brave-otter"))
        self.reloads = 0
        self.cancelled = 0
        self.can_cancel: bool | None = True

    def facts(self) -> tuple[Piece, ...]:
        dot = self.look.symbols.dot
        return (Piece(f"dask {dot} 4 workers {dot} pid 40112", "$fd-muted"),)

    def compose_content(self) -> ComposeResult:
        chips = StateChips()
        chips.counts = (0, 55, 8, 141, 1, 0, 2, 4, 1)
        yield chips
        yield TabStrip(
            [Tab("tasks", "Tasks", 212), Tab("graph", "Graph"), Tab("logs", "Logs", 1904)]
        )
        rows = [
            TaskRow(task(3, code=states.FAILED, attempt=3, message="HTTPError: 502 Bad Gateway")),
            TaskRow(task(7, code=states.SCHEDULED, named="AwaitingRetry", message="ReadTimeout")),
            TaskRow(task(11, code=states.RUNNING)),
            TaskRow(
                task(13, "clean[3]", states.PENDING), (upstream(3, "fetch[3]", states.FAILED),)
            ),
            TaskRow(task(20, "prepare", named="Cached")),
            *(task_row(n) for n in range(30, 60)),
        ]
        yield TaskTable(MemorySource(rows, key=lambda row: row.record.id))
        lines = [log(n, level=(10, 20, 30, 40)[n % 4]) for n in range(40)]
        view = LogView(MemorySource(lines, key=lambda row: row.seq, stable=True))
        view.styles.height = "35%"
        yield view

    def on_mount(self) -> None:
        self.query_one(TaskTable).focus()

    def reload(self) -> None:
        self.reloads += 1

    def action_run_cancel(self) -> None:
        self.cancelled += 1


async def sample(app: FlowdeckApp, pilot: Any) -> Sample:
    screen = Sample()
    await app.push_screen(screen)
    await settle(pilot, lambda: screen.query_one(TaskTable).loaded)
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", SIZES)
async def test_a_full_screen_at_every_size(
    app_for: AppFor, snapshot: Snapshot, size: tuple[int, int]
) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        await sample(app, pilot)
        snapshot(app, f"sample-{size[0]}x{size[1]}")


async def test_a_full_screen_in_ascii(app_for: AppFor, snapshot: Snapshot) -> None:
    app = app_for(ascii_only=True)
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        text = screen_text(app)
        assert text.isascii()
        snapshot(app, "sample-ascii")


async def test_a_full_screen_without_colour(
    app_for: AppFor, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    import os

    monkeypatch.setenv("NO_COLOR", "1")
    app = app_for()
    assert os.environ["NO_COLOR"] == "1"  # what the app starts sees it too
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        snapshot(app, "sample-100x30")
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
        snapshot(app, "sample-100x30")


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


def entry(name: str, rank: int) -> Entry:
    return Entry(name, name[0], name[0], name.title(), rank)


def test_the_footer_drops_labels_first_then_keys_and_never_the_help() -> None:
    found = [
        entry("open", 10),
        entry("cancel", 20),
        entry("zoom", 60),
        Entry("app.help", "?", "?", "Help", 90),
    ]
    full = arrange(found, 100)
    assert all(labelled for _, labelled in full)
    tight = arrange(found, 32)
    assert [(e.action_id, labelled) for e, labelled in tight] == [
        ("open", True), ("cancel", True), ("zoom", False), ("app.help", True)
    ]  # fmt: skip
    tiny = arrange(found, 8)
    assert [e.action_id for e, _ in tiny] == ["app.help"]


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


# -- palette, help, dialogs ------------------------------------------------------------------


async def test_the_palette_lists_what_can_be_done_and_does_it(
    app_for: AppFor, snapshot: Snapshot
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await sample(app, pilot)
        await pilot.press("colon")
        await settle(pilot, lambda: "flowdeck cancel RUN" in screen_text(app))
        snapshot(app, "palette")
        await pilot.press(*"cancel run")
        options = app.screen.query_one(OptionList)
        await settle(pilot, lambda: options.option_count == 1)
        await pilot.press("enter")
        await settle(pilot, lambda: screen.cancelled == 1)


async def test_the_palette_changes_the_theme(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        await pilot.press("colon", *"theme flowdeck-light")
        await settle(pilot, lambda: "Theme flowdeck-light" in screen_text(app))
        await pilot.press("enter")
        await settle(pilot, lambda: app.theme == theme.LIGHT)


async def test_the_help_lists_the_keys_of_the_screen_and_narrows(
    app_for: AppFor, snapshot: Snapshot
) -> None:
    app = app_for()
    async with app.run_test(size=(100, 30)) as pilot:
        await sample(app, pilot)
        await pilot.press("question_mark")
        await settle(pilot, lambda: "The next row." in screen_text(app))
        snapshot(app, "help")
        await pilot.press(*"cancel")
        await settle(pilot, lambda: "The next row." not in screen_text(app))
        assert "Cancel the task; asks first" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot, lambda: not isinstance(app.screen, HelpScreen))


def test_help_rows_without_a_match_are_none() -> None:
    assert help_rows({}, "no such thing at all") == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_any_text_can_be_shown_asked_said_and_copied(app_for: AppFor, text: str) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await sample(app, pilot)
        app.show_message(text, text, error=True)
        await settle(pilot, lambda: isinstance(app.screen, MessageScreen))
        await pilot.press("y")
        await settle(pilot, lambda: app.clipboard == text)
        await pilot.press("escape")
        app.confirm(text, lambda: None, detail=text, yes=text[:50])
        await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        app.say(text or "nothing")
        await settle(pilot, lambda: bool(app._notifications))
        await pilot.pause()


async def test_a_question_acts_on_yes_and_not_on_no(app_for: AppFor, snapshot: Snapshot) -> None:
    app = app_for()
    done: list[int] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await sample(app, pilot)
        for keys in (["n"], ["escape"], ["enter"]):
            app.confirm("Cancel run brave-otter of etl_daily?", lambda: done.append(1))
            await settle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press(*keys)
            await settle(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert done == []
        app.confirm(
            "Cancel run brave-otter of etl_daily?", lambda: done.append(1),
            detail="8 tasks are running.", yes="Cancel run", danger=True,
        )  # fmt: skip
        await settle(pilot, lambda: "Cancel run" in screen_text(app))
        snapshot(app, "confirm")
        await pilot.press("y")
        await settle(pilot, lambda: done == [1])


async def test_the_same_toast_is_not_shown_twice_in_a_row(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        app.say("Copied 3 lines")
        app.say("Copied 3 lines")
        app.say("Copied 4 lines")
        await settle(pilot, lambda: len(app._notifications) == 2)


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


async def test_news_before_a_screen_is_composed_does_no_harm(app_for: AppFor) -> None:
    class Eager(Sample):
        def reload(self) -> None:
            super().reload()
            self.query_one(TaskTable).reload()

    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        screen = Eager()
        screen.hear(StoreChanged())
        screen.show_health(StoreHealth(Health.STALE))
        assert screen.reloads == 0
        await app.push_screen(screen)
        await settle(pilot, lambda: screen.reloads == 1)


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
        snapshot(app, "damaged")


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
