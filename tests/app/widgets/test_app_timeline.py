"""Bars over time: where they lie, how they end, what the axis says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from app_data import HOSTILE, NOW, SECOND, ZONE
from app_harness import Bench, screen_text, settle
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.drawing.look import Look
from flowdeck_app.views import timeline as tl
from flowdeck_app.views.timeline import Bar, Scale
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.timeline import Timeline
from flowdeck_store import states
from flowdeck_store.read.summaries import TaskGroup, TimelineRow, TimelineSegment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowdeck_app.app import FlowdeckApp

T0 = NOW - 72 * SECOND
LOOK = Look(NOW, zone=ZONE)
SCALE = Scale(T0, SECOND)  # one cell a second
pytestmark = pytest.mark.usefixtures("bare")


def seg(start: float, end: float | None, kind: str = "run", attempt: int = 1) -> TimelineSegment:
    finish = None if end is None else T0 + round(end * SECOND)
    return TimelineSegment(T0 + round(start * SECOND), finish, kind, attempt)  # type: ignore[arg-type]


def bar(name: str, code: int, *segments: TimelineSegment, named: str | None = None) -> Bar:
    return Bar(name, name, code, named, segments)


def drawn(row: Bar, scale: Scale = SCALE) -> str:
    return tl.timeline_content(row, LOOK, scale, 14, 80, 0).plain[14:].rstrip()


def test_a_bar_lies_where_its_time_is() -> None:
    assert drawn(bar("a", states.COMPLETED, seg(3, 8))) == "   ━━━━━"


def test_waiting_and_retrying_are_broken_lines_and_a_failure_ends_in_its_sign() -> None:
    row = bar(
        "fetch[3]", states.FAILED,
        seg(0, 2, "wait"), seg(2, 6), seg(6, 9, "retry", 2), seg(9, 14, "run", 2),
    )  # fmt: skip
    assert drawn(row) == "╌╌━━━━╌╌╌━━━━✗"


def test_what_goes_on_reaches_to_now_and_has_the_running_sign() -> None:
    text = drawn(bar("clean", states.RUNNING, seg(60, None)))
    assert len(text) == 72
    assert text.endswith("━▸")


def test_the_shortest_task_gets_a_cell() -> None:
    assert drawn(bar("a", states.COMPLETED, seg(5, 5.0001))) == "     ━"


def test_a_short_run_is_seen_although_it_waited_in_the_same_cell() -> None:
    row = bar("a", states.COMPLETED, seg(0, 3.2, "wait"), seg(3.2, 3.3))
    assert drawn(row) == "╌╌╌━"


def test_a_bar_that_lies_outside_the_window_is_not_drawn() -> None:
    later = Scale(T0 + 40 * SECOND, SECOND)
    assert drawn(bar("a", states.FAILED, seg(0, 5)), later) == ""
    assert drawn(bar("a", states.FAILED, seg(0, 45)), later) == "━━━━✗"


def test_what_has_not_begun_has_no_bar() -> None:
    assert drawn(bar("a", states.PENDING)) == ""


@given(
    st.lists(st.tuples(st.floats(-50, 200), st.floats(0, 100)), max_size=5),
    st.sampled_from(range(9)), st.sampled_from(HOSTILE), st.floats(1, 1e8),
)  # fmt: skip
def test_every_line_has_exactly_its_cells(
    spans: list[tuple[float, float]], code: int, name: str, per_cell: float
) -> None:
    row = Bar("k", name, code, None, tuple(seg(a, a + b) for a, b in sorted(spans)), folded=12)
    content = tl.timeline_content(row, LOOK, Scale(T0, per_cell), 20, 60, 18)
    assert cell_len(content.plain) == 98
    assert all(0 <= span.start <= span.end <= len(content.plain) for span in content.spans)


@given(st.floats(1e-3, 1e6), st.integers(0, 10**6))
def test_the_axis_is_never_wider_than_the_bars(seconds_per_cell: float, offset: int) -> None:
    scale = Scale(T0 + offset, seconds_per_cell * SECOND)
    text = tl.axis_content(scale, LOOK, 14, 70, T0).plain
    assert cell_len(text) == 84


def test_the_axis_has_round_times_and_now() -> None:
    text = tl.axis_content(SCALE, LOOK, 14, 90, T0).plain[14:]
    assert text.split() == ["0s", "10s", "20s", "30s", "40s", "50s", "1m", "now", "80s"]
    assert text.index("30s") == 30
    assert text.index("now") == 72


def test_notes_say_tries_waits_and_how_busy() -> None:
    tries = bar("a", states.FAILED, seg(0, 2), seg(2, 4, "retry", 2), seg(4, 6.4, "run", 2))
    assert tl.note_of(tries, LOOK) == "2 tries, 4.4s"
    waited = bar("b", states.RUNNING, seg(0, 60, "wait"), seg(60, None))
    assert tl.note_of(waited, LOOK) == "12.0s, waited 1m 00s"
    assert tl.note_of(bar("c", states.PENDING), LOOK) == ""


def test_a_worker_is_busy_when_any_of_its_tasks_runs() -> None:
    rows = [
        TimelineRow(1, "a", "a", states.COMPLETED, None, "w-1", (seg(0, 1, "wait"), seg(1, 5))),
        TimelineRow(2, "b", "b", states.COMPLETED, None, "w-1", (seg(4, 8),)),
        TimelineRow(3, "c", "c", states.RUNNING, None, "w-0", (seg(0, None),)),
        TimelineRow(4, "d", "d", states.PENDING, None, None, (seg(0, None, "wait"),)),
    ]
    lanes = tl.lanes(rows, T0, T0 + 10 * SECOND)
    assert [lane.name for lane in lanes] == ["here", "w-0", "w-1"]
    assert lanes[2].busy == pytest.approx(0.7)
    assert [(s.start_us, s.end_us) for s in lanes[2].segments] == [(T0 + SECOND, T0 + 8 * SECOND)]
    assert tl.note_of(lanes[1], LOOK) == "busy 100 %"


def test_a_folded_task_reaches_from_its_first_start_to_its_last_end() -> None:
    counts = tuple(95 if name == "completed" else 0 for name in states.BUCKETS)
    group = TaskGroup("fetch", "k", counts, 0, 1.0, 2.0, 3, T0 + SECOND, T0 + 5 * SECOND)
    row = tl.bar_of_group(group)
    assert drawn(row) == " ━━━━"
    assert "fetch ×95" in tl.timeline_content(row, LOOK, SCALE, 20, 60, 0).plain


def rows() -> MemorySource[Bar]:
    return MemorySource(
        [
            bar("prepare", states.COMPLETED, seg(0, 1)),
            bar("fetch[3]", states.FAILED, seg(1, 2, "wait"), seg(2, 6), seg(6, 9, "retry", 2),
                seg(9, 14, "run", 2)),
            bar("clean[2]", states.RUNNING, seg(50, 55, "wait"), seg(55, None)),
            bar("publish", states.PENDING),
        ],
        key=lambda row: row.key,
    )  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_timeline_on_the_screen(
    app_for: Callable[..., FlowdeckApp],
    snapshot: Callable[..., Awaitable[str]],
    size: tuple[int, int],
) -> None:
    app = app_for()
    async with app.run_test(size=size) as pilot:
        view = Timeline(rows())
        view.set_span(T0, None)
        await app.push_screen(Bench(view))
        view.focus()
        await settle(pilot, lambda: view.loaded)
        await pilot.pause()
        await snapshot(pilot, f"timeline-{size[0]}")


@pytest.mark.anyio
async def test_zooming_keeps_the_bar_under_the_cursor_in_view(
    app_for: Callable[..., FlowdeckApp],
) -> None:
    app = app_for()
    async with app.run_test(size=(120, 20)) as pilot:
        view = Timeline(rows())
        view.set_span(T0, None)
        await app.push_screen(Bench(view))
        view.focus()
        await settle(pilot, lambda: view.loaded)
        await pilot.press("j", "plus", "plus", "plus")
        assert view.zoom == 8
        line = next(line for line in screen_text(app).split("\n") if "fetch[3]" in line)
        assert "━" in line
        before = view.offset_us
        await pilot.press("l")
        assert view.offset_us > before
        await pilot.press("h", "minus", "0")
        assert (view.zoom, view.offset_us) == (1.0, 0.0)


def test_the_folded_bar_of_a_task_whose_runs_were_cancelled_says_so() -> None:
    counts = [0] * len(states.BUCKETS)
    counts[states.BUCKETS.index("cancelled")] = 2
    counts[states.BUCKETS.index("completed")] = 1
    group = TaskGroup("fetch", "etl:fetch", tuple(counts), 0, 1.0, 1.0, 1, NOW - SECOND, NOW)
    assert tl.bar_of_group(group).code == states.CANCELLED
