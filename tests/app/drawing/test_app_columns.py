"""Columns: what is dropped first, who gets the spare cells, rows that line up."""

from __future__ import annotations

from app_data import HOSTILE, NOW, run_row, task_row, upstream
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.drawing.columns import Column, heading_content, lay_out, row_content
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.rows import TaskRow
from flowdeck_app.views.runs import RECENT_COLUMNS, RUN_COLUMNS
from flowdeck_app.views.tasks import TASK_COLUMNS
from flowdeck_store import states

LOOK = Look(NOW)


def shown(width: int) -> list[str]:
    return [column.key for column, _ in lay_out(TASK_COLUMNS, width).columns]


def test_a_narrow_task_table_keeps_glyph_task_state_time_and_message() -> None:
    assert shown(76) == ["glyph", "task", "state", "time", "message"]
    assert shown(96) == [column.key for column in TASK_COLUMNS]


def test_columns_go_in_the_order_of_the_design() -> None:
    everything = {column.key for column in TASK_COLUMNS}
    gone: list[str] = []
    for width in range(200, 30, -1):
        gone += [key for key in everything if key not in shown(width) and key not in gone]
    assert gone[:2] == ["worker", "waits"]
    assert set(gone[2:4]) == {"start", "try"}
    assert gone[4:] == ["message"]


@given(st.integers(10, 300))
def test_a_layout_never_gives_a_column_less_than_its_least_nor_more_than_its_most(
    width: int,
) -> None:
    for columns in (TASK_COLUMNS, RUN_COLUMNS, RECENT_COLUMNS):
        for column, cells in lay_out(columns, width).columns:
            assert cells >= column.width
            assert not column.most or cells <= column.most


@given(st.integers(60, 250), st.sampled_from(HOSTILE), st.sampled_from(range(9)))
def test_every_row_is_as_wide_as_its_heading(width: int, text: str, code: int) -> None:
    row = TaskRow(
        task_row(1, text, code, message=text, worker=text).record, (upstream(2, text, code),)
    )
    layout = lay_out(TASK_COLUMNS, width)
    expected = sum(column.gap + cells for column, cells in layout.columns)
    assert cell_len(row_content(layout, row, LOOK).plain) == expected
    assert cell_len(heading_content(layout, LOOK, "-duration").plain) == expected
    runs = lay_out(RUN_COLUMNS, width)
    run = run_row(1, text, code, flow=text, message=text, runner=text, tags=(text,))
    assert cell_len(row_content(runs, run, LOOK).plain) == sum(
        column.gap + cells for column, cells in runs.columns
    )


def test_the_sorting_column_has_an_arrow_that_turns_round() -> None:
    layout = lay_out(TASK_COLUMNS, 100)
    assert "Time ▾" in heading_content(layout, LOOK, "duration").plain
    assert "Time ▴" in heading_content(layout, LOOK, "-duration").plain
    assert "Time v" in heading_content(layout, Look(NOW, ASCII), "duration").plain


def test_a_click_on_the_heading_finds_its_column() -> None:
    layout = lay_out(TASK_COLUMNS, 100)
    start = layout.start_of("state")
    assert start is not None
    found = layout.column_at(start)
    assert found is not None
    assert found.key == "state"
    assert layout.column_at(10_000) is None
    assert layout.start_of("no such column") is None


def test_a_painted_cell_is_padded_to_its_column() -> None:
    columns = [
        Column("a", "A", lambda row, look: (row, ""), 5),
        Column("b", "B", lambda r, _: (r, ""), 3),
    ]
    content = row_content(lay_out(columns, 20), "xy", LOOK)
    assert content.plain == " xy    xy "


def test_a_pending_task_that_waits_for_another_is_blocked() -> None:
    waiting = TaskRow(
        task_row(5, code=states.PENDING).record, (upstream(2, "fetch", states.RUNNING),)
    )
    free = TaskRow(task_row(5, code=states.PENDING).record, (upstream(2, "fetch"),))
    layout = lay_out(TASK_COLUMNS, 120)
    assert "blocked" in row_content(layout, waiting, LOOK).plain
    assert "pending" in row_content(layout, free, LOOK).plain


def test_a_failed_upstream_is_what_a_row_waits_on() -> None:
    edges = (upstream(1, "good"), upstream(3, "fetch[3]", states.FAILED))
    row = TaskRow(task_row(5, code=states.PENDING).record, edges)
    assert "fetch[3] ✗ +1" in row_content(lay_out(TASK_COLUMNS, 140), row, LOOK).plain
