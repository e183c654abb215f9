"""The line view in an app: cursor, news, follow, marks, search, selection, states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from app_data import HOSTILE, NOW, log, run_row, task_row
from app_harness import Bench, screen_text, settle
from textual.content import Content

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.widgets.lines.loading import AGE
from flowdeck_app.widgets.lines.source import FakeSource, MemorySource
from flowdeck_app.widgets.lines.view import LineView
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_store import states

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.rows import TaskRow
    from flowdeck_store.read.records import LogRecord

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("bare")]
AppFor = Callable[..., FlowdeckApp]


def tasks(*numbers: int) -> MemorySource[TaskRow]:
    return MemorySource([task_row(n) for n in numbers], key=lambda row: row.record.id)


def logs(total: int) -> FakeSource[LogRecord]:
    return FakeSource(log, total, key=lambda row: row.seq, stable=True)


class Listening(Bench):
    """Notes where the view stood whenever it said that it has changed."""

    def __init__(self, view: LineView[Any]) -> None:
        super().__init__(view)
        self.told: list[int] = []

    def on_line_view_changed(self, message: LineView.Changed) -> None:
        self.told.append(message.view.top)


async def shown(app: FlowdeckApp, pilot: Pilot[Any], view: LineView[Any]) -> None:
    """Put a view on the screen and wait for its rows."""
    await app.push_screen(Bench(view))
    view.monotonic = lambda: 0.0
    view.focus()
    await settle(pilot, lambda: view.loaded)


async def renewed(pilot: Pilot[Any], view: LineView[Any], count: int) -> None:
    view.reload()
    await settle(pilot, lambda: view.count == count and not view.loader.busy)


def thaw(view: LineView[Any]) -> None:
    """Let the freeze after a movement be long over."""
    view.monotonic = lambda: 1e9


async def test_vim_arrow_and_page_keys_move_the_cursor(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        view = TaskTable(tasks(*range(500)))
        await shown(app, pilot, view)
        for keys, index in (
            (["j", "down"], 2), (["k"], 1), (["G"], 499), (["up"], 498), (["g"], 0),
            (["end"], 499), (["home"], 0), (["ctrl+d"], view.body_height // 2),
            (["ctrl+u"], 0), (["pagedown"], view.body_height), (["pageup"], 0), (["k"], 0),
        ):  # fmt: skip
            await pilot.press(*keys)
            assert view.cursor == index, keys
            assert view.top <= view.cursor < view.top + view.body_height


async def test_the_cursor_stays_on_its_row_when_rows_come_before_it(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        source = tasks(*range(100, 200))
        view = TaskTable(source)
        await shown(app, pilot, view)
        view.move_to(50)
        await pilot.pause()
        key, line = view.current_key, view.cursor - view.top
        thaw(view)
        source.rows = [task_row(n) for n in range(200)]
        await renewed(pilot, view, 200)
        assert view.current_key == key
        assert view.cursor == 150
        assert view.cursor - view.top == line


async def test_rows_keep_their_places_while_the_user_moves(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        source = tasks(1, 2, 3)
        view = TaskTable(source)
        await shown(app, pilot, view)
        await pilot.press("j")
        source.rows = [task_row(3), task_row(1, code=states.FAILED), task_row(2)]
        view.reload()
        await settle(pilot, lambda: "failed" in screen_text(app))
        assert [view.row_at(i).record.no for i in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
        thaw(view)
        view.reload()
        await settle(pilot, lambda: view.row_at(0).record.no == 3)  # type: ignore[union-attr]
        assert view.current.record.no == 2  # type: ignore[union-attr]


async def test_a_row_that_is_gone_leaves_the_cursor_where_it_was(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        source = tasks(1, 2, 3)
        view = TaskTable(source)
        await shown(app, pilot, view)
        await pilot.press("G")
        thaw(view)
        source.rows = [task_row(1)]
        await renewed(pilot, view, 1)
        assert view.cursor == 0
        assert view.current.record.no == 1  # type: ignore[union-attr]


async def test_only_the_visible_pages_of_a_million_rows_are_fetched(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 40)) as pilot:
        source = logs(1_000_000)
        view = LogView(source)
        await shown(app, pilot, view)
        await pilot.press("g")
        await settle(pilot, lambda: view.row_at(0) is not None)
        view.move_to(500_000)
        await settle(pilot, lambda: view.row_at(500_000) is not None)
        assert "line 500000" in screen_text(app)
        assert sum(n for _, n in source.asked) <= 1500


async def test_a_log_follows_until_the_user_goes_up_and_again_after_g(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        source = logs(100)
        view = LogView(source)
        await shown(app, pilot, view)
        assert "line 99" in screen_text(app)
        source.total = 150
        await renewed(pilot, view, 150)
        assert "line 149" in screen_text(app)
        await pilot.press("k")
        assert not view.follow
        source.total = 278
        await renewed(pilot, view, 278)
        await pilot.pause()
        text = screen_text(app)
        assert "line 149" in text
        assert "+128 lines  G" in text
        await pilot.press("G")
        await settle(pilot, lambda: "line 277" in screen_text(app))
        assert view.follow
        assert "+128" not in screen_text(app)


async def test_the_wheel_stops_following(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        view = LogView(logs(100))
        await shown(app, pilot, view)
        view.scroll_to(y=view.top - 3, animate=False)
        await pilot.pause()
        assert not view.follow


async def test_the_thumb_is_where_the_view_is_from_the_first_frame_on(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        view = LogView(logs(1000))
        await shown(app, pilot, view)
        await settle(pilot, lambda: view.show_vertical_scrollbar and "line 999" in screen_text(app))
        assert view.vertical_scrollbar.position == view.top > 900


async def test_a_log_tells_when_the_wheel_brings_other_lines_into_view(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        view = LogView(logs(1000))
        bench = Listening(view)
        await app.push_screen(bench)
        await settle(pilot, lambda: view.loaded and view.top > 900)
        view.scroll_to(y=500, animate=False)
        await settle(pilot, lambda: 500 in bench.told)


async def test_rows_that_say_when_are_drawn_again_as_days_go_by(app_for: AppFor) -> None:
    now = [NOW]
    app = app_for(clock=lambda: now[0])
    async with app.run_test(size=(100, 20)) as pilot:
        view = RunTable(MemorySource([run_row(1)], key=lambda row: row.record.id))
        await shown(app, pilot, view)
        before = screen_text(app)
        now[0] += 24 * 3_600_000_000
        for _ in range(AGE):
            view._tick()
        await settle(pilot, lambda: screen_text(app) != before)


async def test_other_rows_begin_at_the_top_unless_the_cursors_is_among_them(
    app_for: AppFor,
) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        view = TaskTable(tasks(*range(500)))
        await shown(app, pilot, view)
        view.move_to(300)
        await settle(pilot, lambda: view.current is not None and view.current.record.no == 300)
        view.show(tasks(*range(1, 500, 2)))
        await settle(pilot, lambda: view.loaded and view.count == 250)
        assert (view.cursor, view.top) == (0, 0)
        view.move_to(200)
        await settle(pilot, lambda: view.current is not None and view.current.record.no == 401)
        view.show(tasks(*range(500)))
        await settle(pilot, lambda: view.loaded and view.count == 500)
        assert view.cursor == 401


async def test_wrapped_rows_take_several_lines_and_the_end_stays_visible(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(60, 16)) as pilot:
        rows = [log(i, f"start{i} " + "word " * 30 + f"end{i}") for i in range(50)]
        view = LogView(MemorySource(rows, key=lambda row: row.seq, stable=True))
        await shown(app, pilot, view)
        await pilot.press("w")
        await pilot.pause()
        assert "end49" in screen_text(app)
        await pilot.press("g")
        await settle(pilot, lambda: "start0 " in screen_text(app))
        assert "end0" in screen_text(app)
        for _ in range(12):
            await pilot.press("j")
        assert f"end{view.cursor}" in screen_text(app)
        await pilot.press("G")
        await settle(pilot, lambda: "end49" in screen_text(app))


async def test_line_breaks_are_shown_when_wrapped_and_signed_when_not(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 16)) as pilot:
        row = log(1, "Traceback:\n  File x\nValueError")
        view = LogView(MemorySource([row], key=lambda row: row.seq, stable=True))
        await shown(app, pilot, view)
        assert "Traceback:⏎  File x⏎ValueError" in screen_text(app)
        await pilot.press("w")
        await pilot.pause()
        assert "  File x\n" in screen_text(app)


async def test_search_goes_to_the_next_and_previous_match(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = LogView(logs(500))
        await shown(app, pilot, view)
        await pilot.press("g")
        view.search("line 44")
        await settle(pilot, lambda: view.cursor == 44)
        await pilot.press("n")
        await settle(pilot, lambda: view.cursor == 440)
        await pilot.press("N")
        await settle(pilot, lambda: view.cursor == 44)
        view.search("")
        assert view.check_action("find_next", ()) is False


async def test_a_search_without_a_match_says_so(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20), notifications=True) as pilot:
        view = LogView(logs(5))
        await shown(app, pilot, view)
        view.search("[/nothing] like this")
        await settle(pilot, lambda: bool(app._notifications))
        assert "No match" in next(iter(app._notifications)).message


async def test_marks_are_toggled_and_all_are_marked(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        source = tasks(1, 2, 3)
        view = TaskTable(source)
        await shown(app, pilot, view)
        await pilot.press("space", "space")
        assert view.marks == {source.key(row) for row in source.rows[:2]}
        assert view.cursor == 2
        assert screen_text(app).count("•") == 2
        await pilot.press("k", "space")
        assert len(view.marks) == 1


async def test_a_click_chooses_and_a_double_click_opens(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = TaskTable(tasks(*range(9)), id="t")
        await shown(app, pilot, view)
        bench = app.screen
        assert isinstance(bench, Bench)
        await pilot.click("#t", offset=(10, 3))
        assert view.cursor == 2
        await pilot.click("#t", offset=(10, 5), times=2)
        await settle(pilot, lambda: bool(bench.opened))
        assert view.cursor == 4
        assert bench.opened == [view.current_key]


async def test_a_click_on_a_heading_asks_for_that_order_and_again_turns_it(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        view = TaskTable(tasks(1, 2), id="t")
        await shown(app, pilot, view)
        start = view.layout_for(view.body_width).start_of("time")
        assert start is not None
        await pilot.click("#t", offset=(start + 4, 0))
        assert view.order == "duration"
        await pilot.click("#t", offset=(start + 4, 0))
        assert view.order == "-duration"
        await pilot.press("s")
        assert view.order == "name"


async def test_dragging_selects_text_and_copies_it(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = LogView(logs(5), id="l")
        await shown(app, pilot, view)
        await pilot.mouse_down("#l", offset=(21, 1))
        await pilot.hover("#l", offset=(12, 2))
        await pilot.mouse_up("#l", offset=(12, 2))
        await pilot.pause()
        await pilot.press("ctrl+c")
        await settle(pilot, lambda: bool(app.clipboard))
        assert app.clipboard == "line 1\n10:41:37.02"


async def test_y_copies_the_selection_and_esc_takes_only_that_away(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = LogView(logs(5), id="l")
        await shown(app, pilot, view)
        screen = app.screen
        await pilot.mouse_down("#l", offset=(21, 1))
        await pilot.hover("#l", offset=(12, 2))
        await pilot.mouse_up("#l", offset=(12, 2))
        await settle(pilot, lambda: bool(screen.selections))
        await screen.run_action("take_copy")
        await settle(pilot, lambda: app.clipboard == "line 1\n10:41:37.02")
        await pilot.press("escape")
        await settle(pilot, lambda: not screen.selections)
        await pilot.pause()
        assert app.screen is screen
        await pilot.press("escape")
        await settle(pilot, lambda: app.screen is not screen)


async def test_a_selection_over_rows_that_are_not_at_hand_is_copied_whole(app_for: AppFor) -> None:
    from textual.geometry import Offset
    from textual.selection import Selection

    from flowdeck_app.widgets.lines.draw import LINES

    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = LogView(logs(5000))
        await shown(app, pilot, view)
        app.screen.selections = {view: Selection(Offset(0, 10 * LINES), Offset(99, 2009 * LINES))}
        text = await view.selected_text()
        assert len(text.split("\n")) == 2000
        assert text.endswith("line 2009")


async def test_empty_loading_and_error_states_are_texts(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        view = TaskTable(tasks())
        await shown(app, pilot, view)
        assert "No tasks yet" in screen_text(app)
        broken = FakeSource(task_row, 5, key=lambda row: row.record.id)
        broken.error = RuntimeError("disk [/gone] \x1b[31m")
        view.show(broken)
        await settle(pilot, lambda: view.error is not None)
        text = screen_text(app)
        assert "Cannot be read" in text
        assert "disk [/gone] ␛[31m" in text
        broken.error = None
        view.reload()
        await settle(pilot, lambda: "fetch[0]" in screen_text(app))


async def test_an_error_later_on_keeps_the_rows_and_says_so(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        source = FakeSource(task_row, 50, key=lambda row: row.record.id)
        view = TaskTable(source)
        await shown(app, pilot, view)
        source.error = OSError("gone")
        view.reload()
        await settle(pilot, lambda: view.error is not None)
        assert "fetch[1]" in screen_text(app)
        assert "cannot refresh" in screen_text(app)


class Hostile(LineView[tuple[int, str]]):
    """Draws any text as it comes from ``clean``."""

    def lines(self, row: tuple[int, str], look: Look, width: int) -> Sequence[Content]:
        from flowdeck_app.drawing.cells import clean

        return [Content(clean(row[1]), strip_control_codes=False)]


@pytest.mark.parametrize("ascii_only", [False, True])
async def test_hostile_rows_never_leave_their_line(app_for: AppFor, ascii_only: bool) -> None:
    from rich.cells import cell_len

    app = app_for(ascii_only=ascii_only)
    async with app.run_test(size=(80, 20)) as pilot:
        view = Hostile(MemorySource(list(enumerate(HOSTILE)), key=lambda row: row[0]))
        await shown(app, pilot, view)
        for y in range(view.size.height):
            assert cell_len(view.render_line(y).text) == view.line_width
        for _ in range(30):
            await pilot.press("l")
        for y in range(view.size.height):
            assert cell_len(view.render_line(y).text) == view.line_width
        assert view.pan > 0


async def test_the_screen_is_drawn_the_same_with_and_without_text_offsets(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(90, 20)) as pilot:
        view = TaskTable(tasks(*range(9)))
        await shown(app, pilot, view)
        plain = [strip.text for strip in view.render_lines(view.size.region)]
        assert [view.render_line(y).text for y in range(view.size.height)] == [
            line[: view.line_width] for line in plain
        ]
