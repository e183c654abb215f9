"""What is drawn is measured in terminal cells: wide, combining and zero-width characters lose none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from app_data import NOW, ZONE, log, run_row, task_row
from app_harness import Bench, screen_text, settle
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.drawing import tables
from flowdeck_app.drawing.cells import (
    at_least,
    clean,
    cut,
    fit,
    fit_middle,
    fit_right,
    width,
    wrap_cells,
)  # fmt: skip
from flowdeck_app.drawing.columns import lay_out, row_content
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.pieces import Piece, joined, spread
from flowdeck_app.drawing.signs import symbols
from flowdeck_app.reports.failures import _locals
from flowdeck_app.screens.task.source import variable_rows
from flowdeck_app.views.facts import input_rows
from flowdeck_app.views.logs import log_lines
from flowdeck_app.views.runs import RUN_COLUMNS
from flowdeck_app.views.tasks import TASK_COLUMNS
from flowdeck_app.views.timeline import Bar, Scale, timeline_content
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.log_view import LogView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

#: Letters of one cell and of two, marks of none, what is made of several, controls, spaces.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "ab _-日本語각🙂👍\U0001f3fd🇩🇪e\u0301\u20dd\u0915\u094d\u0937\u200b\u200d\ufe0f\t\n ｆ"
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)
NAMES = TEXTS.filter(bool)
CELLS = st.integers(2, 60)
LOOK = Look(NOW, symbols(False), ZONE)


def contents(lines: Sequence[Content]) -> list[str]:
    return [line.plain for line in lines]


@given(TEXTS, CELLS)
def test_fitted_texts_have_exactly_their_cells(text: str, cells: int) -> None:
    text = clean(text)
    for fitted in (fit, fit_right, fit_middle):
        assert cell_len(fitted(text, cells)) == cells, fitted
    assert cell_len(cut(text, cells)) == min(cells, cell_len(text))
    assert cell_len(at_least(text, cells)) == max(cells, cell_len(text))
    assert width(text) == cell_len(text)


@given(TEXTS, CELLS)
def test_wrapped_pieces_fit_and_lose_nothing(text: str, cells: int) -> None:
    text = clean(text)
    pieces = wrap_cells(text, cells)
    assert "".join(pieces) == text
    assert all(cell_len(piece.rstrip(" ")) <= cells for piece in pieces)


@settings(deadline=None)
@given(NAMES, TEXTS, st.integers(50, 120), st.integers(0, 20))
def test_a_wrapped_log_line_shows_all_of_its_message_whoever_wrote_it(
    message: str, task: str, cells: int, column: int
) -> None:
    lines = contents(
        log_lines(log(1, message), LOOK, cells, wrap=True, task=task, task_cells=column)
    )
    indent = cell_len(lines[0]) - cell_len(lines[0].lstrip())
    assert indent >= 0
    assert all(cell_len(line.rstrip(" ")) <= cells for line in lines)
    said = re.sub(
        r"\s", "", "".join(clean(line) for line in re.split("\r*\n", message.rstrip("\r")))
    )
    assert said in re.sub(r"\s", "", "".join(lines))


@settings(deadline=None)
@given(NAMES, TEXTS, st.integers(40, 200))
def test_rows_of_tables_have_their_columns_in_place(name: str, message: str, cells: int) -> None:
    rows: list[tuple[Any, Any]] = [
        (TASK_COLUMNS, task_row(1, name, message=message)),
        (RUN_COLUMNS, run_row(1, name)),
    ]
    for columns, row in rows:
        layout = lay_out(columns, cells)
        whole = sum(wide + column.gap for column, wide in layout.columns)
        assert row_content(layout, row, LOOK).cell_length == whole


@given(NAMES, st.integers(8, 40))
def test_bars_of_the_timeline_begin_below_each_other(name: str, cells: int) -> None:
    bar = Bar("x", name, 2, None, (), folded=3)
    line = timeline_content(bar, LOOK, Scale(NOW, 1e6), cells, 30, 10)
    assert line.cell_length == cells + 30 + 10


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(NAMES, max_size=2), CELLS)
def test_strips_of_pieces_fit(left: list[str], right: list[str], cells: int) -> None:
    pieces = [Piece(clean(text)) for text in left]
    assert joined(pieces, cells).cell_length <= cells
    end = [Piece(cut(clean(text), 5)) for text in right]
    if sum(width(piece.text) for piece in end) < cells:
        assert joined(spread(pieces, end, cells), 1000).cell_length == cells


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_values_of_a_panel_begin_below_each_other(names: list[str]) -> None:
    variables = [{"name": name, "type": name, "repr": "<>"} for name in names]
    rows = variable_rows({"locals": variables}, LOOK)[1:]
    starts = {cell_len(row.content.plain[: row.content.plain.rindex("<>")]) for row in rows}
    assert len(starts) == 1
    inputs = dict.fromkeys(names, "<>")
    rows = [row for row in input_rows(inputs, (), (), LOOK) if row.content.plain.endswith("<>")]
    assert len({cell_len(row.content.plain) for row in rows}) <= 1


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, TEXTS), min_size=1, max_size=4), st.integers(30, 80))
def test_tables_of_the_command_line_fit(rows: list[tuple[str, str]], cells: int) -> None:
    look = Look(NOW, width=cells)
    columns = [tables.TextColumn("Name", least=6, middle=True), tables.TextColumn("Text", least=6)]
    lines = tables.table(columns, rows, look)
    assert all(cell_len(line) <= cells for line in lines)
    variables = [{"name": name[:8], "type": name, "repr": text} for name, text in rows]
    first, *more = _locals(variables, look)
    assert "=" in first
    for line in more:  # a value of several lines goes on below its name
        assert "=" in line or line.startswith("    ")


@pytest.mark.anyio
@pytest.mark.usefixtures("bare")
async def test_a_message_of_more_lines_than_are_drawn_says_so(app_for: Any) -> None:
    app = app_for()
    async with app.run_test(size=(80, 24)) as pilot:
        view = LogView(MemorySource([log(1, "日本\n" * 100)], key=lambda row: row.seq))
        await app.push_screen(Bench(view))
        view.focus()
        await settle(pilot, lambda: view.loaded)
        view.set_wrap(True)
        await pilot.press("G")
        await settle(pilot, lambda: "more lines: enter shows all" in screen_text(app))
        shown = re.search(r"(\d+) more lines", screen_text(app))
        assert shown is not None
        assert int(shown[1]) + screen_text(app).count("日本") == 101
