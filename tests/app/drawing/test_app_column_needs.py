"""Columns take the cells that their texts need, and leave the rest to others."""

from __future__ import annotations

import pytest
from app_data import NOW, ZONE, run_row

from flowdeck_app.drawing.columns import Column, Layout, lay_out, needs_of
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import symbols
from flowdeck_app.views.runs import RUN_COLUMNS

LOOK = Look(NOW, symbols(False), ZONE)


def _text(record: dict[str, str], key: str) -> tuple[str, str]:
    return record.get(key, ""), ""


COLUMNS: tuple[Column[dict[str, str]], ...] = (
    Column("name", "Name", lambda r, _: _text(r, "name"), 12, grow=1, most=28, order="name",
           fits=True, first=True),
    Column("flow", "Flow", lambda r, _: _text(r, "flow"), 10, grow=1, most=20, fits=True),
    Column("state", "State", lambda r, _: _text(r, "state"), 8),
    Column("note", "Note", lambda r, _: _text(r, "note"), 10, grow=3, drop=1),
)  # fmt: skip


def widths(layout: Layout[dict[str, str]]) -> dict[str, int]:
    return {column.key: cells for column, cells in layout.columns}


def test_a_short_column_gives_its_cells_to_a_name_that_needs_them() -> None:
    before = widths(lay_out(COLUMNS, 44))
    assert before == {"name": 12, "flow": 10, "state": 8, "note": 10}
    after = widths(lay_out(COLUMNS, 44, {"name": 15, "flow": 5}))
    assert after == {"name": 16, "flow": 6, "state": 8, "note": 10}


def test_names_have_what_they_need_before_others_grow_and_no_more() -> None:
    assert widths(lay_out(COLUMNS, 80, {"name": 20, "flow": 12})) == {
        "name": 21, "flow": 13, "state": 8, "note": 34,
    }  # fmt: skip
    assert widths(lay_out(COLUMNS, 60, {"name": 200, "flow": 12}))["name"] == 28  # its limit


def test_a_title_and_its_arrow_stay_readable() -> None:
    assert widths(lay_out(COLUMNS, 80, {"name": 1, "flow": 0})) == {
        "name": 7, "flow": 5, "state": 8, "note": 56,
    }  # fmt: skip


def test_what_no_other_column_takes_goes_to_the_names_after_all() -> None:
    assert widths(lay_out(COLUMNS[:3], 60, {"name": 5, "flow": 5})) == {
        "name": 28, "flow": 20, "state": 8,
    }  # fmt: skip


def test_an_optional_column_is_there_once_a_row_says_something_in_it() -> None:
    columns = (
        *COLUMNS,
        Column("worker", "Worker", lambda r, _: _text(r, "worker"), 6, optional=True),
    )
    silent = needs_of(columns, {"name": "a", "worker": LOOK.dash}, LOOK)
    assert silent["worker"] == 0
    assert "worker" not in widths(lay_out(columns, 80, silent))
    assert "worker" not in widths(lay_out(columns, 80, {}))
    assert widths(lay_out(columns, 80, needs_of(columns, {"worker": "w-2"}, LOOK)))["worker"] >= 6


def test_texts_do_not_decide_which_columns_there_are() -> None:
    for width in range(10, 90):
        keys = list(widths(lay_out(COLUMNS, width)))
        assert list(widths(lay_out(COLUMNS, width, {"name": 1, "flow": 1}))) == keys
        assert list(widths(lay_out(COLUMNS, width, {"name": 99, "flow": 99}))) == keys
        taken = sum(
            lay_out(COLUMNS, width, {"name": 99}).columns[i][1] + 1 for i in range(len(keys))
        )
        assert taken <= max(width, 33)  # below that nothing more can go


def test_wide_characters_count_as_two_cells() -> None:
    assert needs_of(COLUMNS, {"name": "日本", "flow": "ab"}, LOOK) == {"name": 4, "flow": 2}


@pytest.mark.parametrize(
    ("counts", "cells", "shown"),
    [
        ((0, 0, 0, 5000), 9, "5000/5000"),
        ((0, 0, 0, 5000), 7, "  5k/5k"),
        ((0, 0, 1880, 3120), 7, "3.1k/5k"),
        ((0, 0, 1, 999_999), 8, "999k/1M"),
        ((0, 0, 0, 12), 7, "  12/12"),
    ],
)
def test_numbers_of_tasks_are_shortened_and_never_cut(
    counts: tuple[int, ...], cells: int, shown: str
) -> None:
    record = run_row(1, counts=counts + (0,) * (9 - len(counts)))
    column = next(column for column in RUN_COLUMNS if column.key == "tasks")
    assert column.paint is not None
    assert column.paint(record, LOOK, cells).plain.strip() == shown.strip()
