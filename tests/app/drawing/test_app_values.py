"""Values of several lines are shown in their lines: inputs, results, parameters, local variables."""

from __future__ import annotations

import json
import re

from app_data import NOW, ZONE

from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import symbols
from flowdeck_app.drawing.values import MOST
from flowdeck_app.screens.task.source import variable_rows
from flowdeck_app.views.facts import PanelRow, input_rows, parameter_rows, result_rows
from flowdeck_store.read.records import ResultRecord

LOOK = Look(NOW, symbols(False), ZONE)
FRAME = "   a  b\n0  1  2\n1  3  4"


def drawn(rows: list[PanelRow]) -> list[str]:
    return [row.content.plain.rstrip() for row in rows]


def test_a_table_stands_below_itself_behind_its_name() -> None:
    rows = input_rows({"frame": FRAME, "n": "3"}, (), (), LOOK)
    assert drawn(rows) == [
        "frame     a  b",
        "       0  1  2",
        "       1  3  4",
        "n      3",
    ]
    assert {row.text for row in rows[:3]} == {FRAME}
    assert len({row.key for row in rows}) == len(rows)


def test_a_text_with_line_ends_is_shown_as_the_text() -> None:
    assert drawn(input_rows({"sql": repr("SELECT 1\nFROM t")}, (), (), LOOK)) == [
        "sql  SELECT 1",
        "     FROM t",
    ]
    rows = parameter_rows(json.dumps({"sql": "SELECT 1\nFROM t", "n": 1}), LOOK)
    assert drawn(rows) == ["sql  SELECT 1", "     FROM t", "n    1"]


def test_local_variables_and_results_too() -> None:
    frame = {"locals": [{"name": "df", "type": "DataFrame", "repr": FRAME}]}
    assert drawn(variable_rows(frame, LOOK))[1:] == [
        "  df  DataFrame     a  b",
        "                 0  1  2",
        "                 1  3  4",
    ]
    result = ResultRecord(1, 1, "DataFrame", 10, FRAME, None)
    assert drawn(result_rows(result, LOOK))[-3:] == FRAME.split("\n")


def test_a_long_one_says_how_much_is_left_out() -> None:
    rows = input_rows({"x": "\n".join(map(str, range(100)))}, (), (), LOOK)
    assert len(rows) == MOST + 1
    assert drawn(rows)[-1] == f"   {100 - MOST} more lines: enter shows all"
    assert rows[-1].text.endswith("99")


def test_control_characters_stay_visible() -> None:
    for value in ("a\x1b[2J\nb\x07", "a\x1b[2Jb\x07"):
        text = "".join(drawn(input_rows({"x": value}, (), (), LOOK)))
        assert re.search("[\x00-\x1f\x7f]", text) is None
        assert "[2J" in text
