"""The small widgets: chips, tabs, query bar, bars, progress, breadcrumb; none minds any text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from app_data import HOSTILE, NOW, SECOND, history, log, run_row, task_row, upstream
from app_harness import Bench, screen_text, settle
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual import on

from flowdeck_app.app import FlowdeckApp
from flowdeck_app.drawing.bars import chart_lines, history_content, progress_content, spark_content
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.pieces import Piece, spread
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.graph.draw import Shown
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.widgets.chips import StateChips
from flowdeck_app.widgets.graph import GraphView
from flowdeck_app.widgets.history_bars import HistoryBars, RunHistogram
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.log_view import LogView
from flowdeck_app.widgets.progress import Progress, ProgressLine
from flowdeck_app.widgets.query_bar import QueryBar, complete
from flowdeck_app.widgets.run_table import RunTable
from flowdeck_app.widgets.tabs import Tab, TabStrip
from flowdeck_app.widgets.task_table import TaskTable
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store import states
from flowdeck_store.read.summaries import HistogramBucket, TaskGraph, TaskGroup, TimelineSegment

AppFor = Callable[..., FlowdeckApp]
LOOK = Look(NOW)
COUNTS = st.lists(st.integers(0, 5000), min_size=9, max_size=9)
pytestmark = pytest.mark.usefixtures("bare")


class Listening(Bench):
    """Keeps what its widgets say."""

    def __init__(self, *widgets: Any) -> None:
        super().__init__(*widgets)
        self.heard: list[object] = []

    @on(StateChips.Chosen)
    def _chip(self, message: StateChips.Chosen) -> None:
        self.heard.append(message.bucket)

    @on(TabStrip.Chosen)
    def _tab(self, message: TabStrip.Chosen) -> None:
        self.heard.append(message.key)

    @on(QueryBar.Changed)
    def _query(self, message: QueryBar.Changed) -> None:
        self.heard.append(message.text)

    @on(QueryBar.Done)
    def _done(self) -> None:
        self.heard.append("done")

    @on(RunHistogram.Picked)
    def _time(self, message: RunHistogram.Picked) -> None:
        self.heard.append(message.start_us)

    @on(HistoryBars.Picked)
    def _run(self, message: HistoryBars.Picked) -> None:
        self.heard.append(message.run_id)


# -- bars ------------------------------------------------------------------------------------


@given(COUNTS, st.integers(1, 120), st.booleans())
def test_a_progress_bar_is_as_wide_as_asked_and_full_only_at_the_end(
    counts: list[int], cells: int, final: bool
) -> None:
    content = progress_content(counts, cells, LOOK, final=final)
    assert cell_len(content.plain) == cells
    done = sum(counts) - counts[0] - counts[1] - counts[2]
    if cells > 3:
        assert (content.plain == "━" * cells) == (done == sum(counts) > 0)


def test_a_single_failure_is_seen_among_thousands() -> None:
    counts = [0, 0, 0, 5000, 1, 0, 0, 0, 0]
    styles = {str(span.style) for span in progress_content(counts, 40, LOOK).spans}
    assert "$fd-failed" in styles


def test_history_shows_durations_as_heights_and_problems_as_signs() -> None:
    points = history((3, 1.0), (3, 8.0), (4, 2.0), (5, 1.0), (2, None))
    assert history_content(points, 8, LOOK).plain == "   ▁█✗!▸"
    assert history_content(points, 3, LOOK).plain == "✗!▸"
    assert history_content(points, 8, Look(NOW, ASCII)).plain.isascii()
    assert history_content((), 4, LOOK).plain == "    "
    assert history_content(points, 7, LOOK, gap=1).plain == "█ ✗ ! ▸"
    assert history_content((), 4, LOOK, gap=1).plain == "    "
    assert [line.plain for line in chart_lines(points, 40, 3, LOOK)][-1] == "✓ ✓ ✗ ! ▸"


def test_a_strip_of_values_ends_at_the_right() -> None:
    assert spark_content([0, 1, 2], 5, LOOK).plain == "  ▁▄█"
    assert spark_content([0, 0], 2, LOOK).plain == "▁▁"
    assert spark_content([0, 1, 2], 4, LOOK, gap=1).plain == " ▄ █"


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 60))
def test_spread_pieces_fill_the_line_exactly(left: str, right: str, cells: int) -> None:
    from flowdeck_app.drawing.cells import clean, width

    left, right = clean(left), clean(right)
    pieces = spread([Piece(left)], [Piece(right)], cells)
    total = sum(width(piece.text) for piece in pieces)
    assert total == max(cells, width(right))


# -- filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("fl", "flow:"),
        ("state:fa", "state:failed"),
        ("-state:failed,cr", "-state:failed,crashed"),
        ("flow:etl si", "flow:etl since:"),
        ("flow:x", None),
        ("state:failed", None),
        ("", None),
        ("word ", None),
    ],
)
def test_the_last_word_of_a_filter_is_completed(typed: str, completed: str | None) -> None:
    assert complete(typed, ["flow", "name", "state", "since"]) == completed


@pytest.mark.anyio
async def test_a_filter_is_applied_after_a_pause_and_taken_back_by_esc(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(100, 20)) as pilot:
        bar = QueryBar("runs", "state:failed flow:etl*")
        screen = Listening(bar)
        await app.push_screen(screen)
        bar.open()
        await pilot.press(*"state:failed")
        await settle(pilot, lambda: screen.heard == ["state:failed"])
        bar.note = "37 match"
        await pilot.pause()
        assert "37 match" in screen_text(app)
        await pilot.press("enter")
        await settle(pilot, lambda: screen.heard == ["state:failed", "done"])
        bar.open()
        await pilot.press("escape")
        await settle(pilot, lambda: screen.heard[2:] == ["", "done"])
        assert not bar.is_open


@pytest.mark.anyio
async def test_a_wrong_filter_is_explained_and_not_applied(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(120, 20)) as pilot:
        bar = QueryBar("runs")
        screen = Listening(bar)
        await app.push_screen(screen)
        bar.open("stat:failed")
        await settle(pilot, lambda: "state" in bar.note)
        assert screen.heard == []


@pytest.mark.anyio
async def test_the_right_arrow_takes_the_completion(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(120, 20)) as pilot:
        bar = QueryBar("runs")
        await app.push_screen(Listening(bar))
        bar.open()
        await pilot.press(*"state:cra")
        await settle(pilot, lambda: "state:crashed" in screen_text(app))
        await pilot.press("right")
        await settle(pilot, lambda: bar.text == "state:crashed")


# -- chips, tabs, strips ---------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_chip_is_chosen_by_click_and_by_key_and_taken_back(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        chips = StateChips(id="chips")
        screen = Listening(chips)
        await app.push_screen(screen)
        chips.counts = (0, 55, 8, 141, 1, 0, 2, 4, 0)
        await pilot.pause()
        line = screen_text(app).split("\n")[1]
        await pilot.click("#chips", offset=(line.index("✗ 1"), 0))
        await settle(pilot, lambda: screen.heard == ["failed"])
        chips.focus()
        await pilot.press("l", "enter")
        await settle(pilot, lambda: screen.heard == ["failed", "completed"])
        await pilot.press("enter")
        await settle(pilot, lambda: screen.heard[2:] == [""])


@pytest.mark.anyio
async def test_tabs_are_chosen_by_click_and_step_round_the_end(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        tabs = TabStrip([Tab("a", "Tasks", 2), Tab("b", "Graph"), Tab("c", "Logs")], id="tabs")
        screen = Listening(tabs)
        await app.push_screen(screen)
        await pilot.pause()
        line = screen_text(app).split("\n")[1]
        await pilot.click("#tabs", offset=(line.index("Logs"), 0))
        await settle(pilot, lambda: screen.heard == ["c"])
        tabs.step(1)
        await settle(pilot, lambda: screen.heard == ["c", "a"])
        tabs.set_count("a", 1904)
        await pilot.pause()
        assert "Tasks 1\u202f904" in screen_text(app)


@pytest.mark.anyio
async def test_a_click_on_a_bar_tells_its_time_or_run(app_for: AppFor) -> None:
    app = app_for()
    async with app.run_test(size=(80, 20)) as pilot:
        bars, strip = RunHistogram(id="h"), HistoryBars(history((3, 1.0), (4, 1.0)), id="s")
        screen = Listening(bars, strip)
        await app.push_screen(screen)
        hour = 3600 * SECOND
        empty = (0,) * 9
        failed = (0, 0, 0, 2, 1, 0, 0, 0, 0)
        bars.buckets = tuple(
            HistogramBucket(NOW - (60 - n) * hour, failed if n == 7 else empty) for n in range(60)
        )
        await pilot.pause()
        lines = screen_text(app).split("\n")
        assert "█" in lines[1]
        assert lines[2].index("✗") == lines[1].index("█")
        assert "Sat" in lines[3]
        await pilot.click("#h", offset=(lines[1].index("█"), 0))
        await settle(pilot, lambda: screen.heard == [NOW - 53 * hour])
        await pilot.click("#s", offset=(79, 0))
        await settle(pilot, lambda: screen.heard[1:] == [1])


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(60, 15), (100, 30)])
async def test_the_progress_line(app_for: AppFor, snapshot: Any, size: tuple[int, int]) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        lines = [ProgressLine() for _ in range(4)]
        await app.push_screen(Bench(*lines))
        counts = (0, 55, 8, 141, 1, 0, 2, 4, 1)
        began = NOW - 72 * SECOND
        lines[0].progress = Progress(states.RUNNING, None, counts, began, None, 103.0)
        lines[1].progress = Progress(
            states.COMPLETED, None, (0, 0, 0, 12, 0, 0, 0, 0, 0), began, NOW
        )
        lines[2].progress = Progress(states.SCHEDULED, None, message="Launching")
        lines[3].progress = Progress(states.FAILED, "TimedOut", counts, began, NOW, 50.0)
        await pilot.pause()
        await snapshot(pilot, f"progress-{size[0]}")


# -- nothing minds any text ------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("text", HOSTILE)
async def test_every_widget_draws_any_text(app_for: AppFor, text: str, ascii_only: bool) -> None:
    app = app_for(ascii_only=ascii_only)
    async with app.run_test(size=(120, 60)) as pilot:
        edges = (upstream(1, text, states.FAILED),)
        segments = (TimelineSegment(NOW - 9 * SECOND, None, "run", 1),)
        from flowdeck_app.views.timeline import Bar

        tabs, bar = TabStrip([Tab("a", text, 3)]), QueryBar("runs", text[:100])
        graph, progress = GraphView(), ProgressLine()
        log_view = LogView(MemorySource([log(1, text)], key=lambda row: row.seq, stable=True))
        log_view.task_names, log_view.task_cells = {1: text}, 12
        views: list[Any] = [
            TaskTable(
                MemorySource(
                    [TaskRow(task_row(1, text, message=text, worker=text).record, edges)],
                    key=lambda row: row.record.id,
                )
            ),
            RunTable(
                MemorySource(
                    [run_row(1, text, flow=text, message=text, runner=text, tags=(text,))],
                    key=lambda row: row.record.id,
                )
            ),
            log_view,
            Timeline(MemorySource([Bar("k", text, 2, None, segments)], key=lambda row: row.key)),
        ]
        await app.push_screen(Bench(tabs, bar, progress, *views, graph, names=(text, text)))
        counts = (0, 0, 0, 1, 0, 0, 0, 0, 0)
        graph.show(
            Shown(TaskGraph((TaskGroup(text, "k", counts, 0, None, None, None, None, None),), ()))
        )
        progress.progress = Progress(states.SCHEDULED, text[:200] or None, message=text)
        bar.open(text[:200])
        app.say(text or "-")
        await settle(pilot, lambda: all(view.loaded for view in views))
        for view in views:
            view.search(text[:50])
            view.empty = (text, text)
        await pilot.press("w")
        await pilot.pause()
        for view in views:
            view.show(MemorySource([]))
        await settle(pilot, lambda: all(view.count == 0 and view.loaded for view in views))
        for strip in app.screen._compositor.render_strips():
            assert cell_len(strip.text) == 120
