"""Recorded values as lines: what was a table stays one, what means harm stays harmless."""

from __future__ import annotations

from typing import Any

import pytest
from cli_builder import T0

from flowdeck.values.previews import preview
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.values import block, value_lines
from flowdeck_app.reports import failures, tasks
from flowdeck_store.read.records import ResultRecord, UpstreamRecord

PLAIN = Look(now_us=T0)


class Frame:
    """As a DataFrame: its repr has several lines."""

    def __repr__(self) -> str:
        return "   a  b\n0  1  2\n1  3  4"


def result(recorded: str, kind: str = "DataFrame") -> list[str]:
    return tasks.result(
        ResultRecord(task=1, us=T0, type=kind, size=None, preview=recorded, location=None), PLAIN
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Frame(), ["   a  b", "0  1  2", "1  3  4"]),
        ("one\ntwo\n", ["one", "two"]),
        ('it\'s\n"both"', ["it's", '"both"']),
        ("one line", ["'one line'"]),
        (r"C:\new", [repr(r"C:\new")]),
        ([1, "a\nb"], [r"[1, 'a\nb']"]),
        (5, ["5"]),
        ("evil \x1b[31m\nline", [r"evil \x1b[31m", "line"]),
        (b"a\nb", [r"b'a\nb'"]),
    ],
)
def test_a_value_is_shown_in_its_lines(value: Any, shown: list[str]) -> None:
    assert value_lines(preview(value)) == shown


def test_a_text_that_was_cut_is_shown_in_its_lines_too() -> None:
    recorded = preview("row\n" * 1000)
    assert recorded.endswith("…")
    found = value_lines(recorded)
    assert found[:3] == ["row", "row", "row"]
    assert len(found) > 300


def test_a_result_of_several_lines() -> None:
    assert result(preview(Frame())) == [
        "DataFrame, not kept", "       a  b", "    0  1  2", "    1  3  4",
    ]  # fmt: skip
    assert result("5", "int") == ["int, not kept", "  5"]
    many = result(preview("x\n" * 100), "str")
    assert many[-1].strip() == "60 more lines"


def test_inputs_and_variables_of_several_lines() -> None:
    edge = UpstreamRecord("frame", 1, 2, "load-0", "load-0", 3, None)
    lines = tasks.inputs({"frame": preview(Frame()), "n": "5"}, [edge], PLAIN)
    assert lines[:4] == ["frame", "       a  b", "    0  1  2", "    1  3  4"]
    assert "load-0" in lines[4]
    assert lines[5] == "n      5"
    found = list(
        failures._locals([{"name": "df", "type": "Frame", "repr": preview(Frame())}], PLAIN)
    )
    assert [line.strip() for line in found] == ["df Frame =", "a  b", "0  1  2", "1  3  4"]


def test_a_block_is_cut_at_the_width() -> None:
    assert block("x = ", "abcdef", 4, PLAIN) == ["x = abc…"]
    assert block("x = ", "abcdef\nb", 4, PLAIN)[1:] == ["    abc…", "    b"]
