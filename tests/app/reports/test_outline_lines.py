"""Recorded outlines as lines, in the app's Result tab and in ``flowdeck result``."""

from __future__ import annotations

from typing import Any

import pytest

from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.views.outlines import outline_lines
from flowdeck_store.outlines import outline_of

LOOK = Look(0)


def drawn(data: Any, look: Look = LOOK) -> list[str]:
    found = outline_of(data)
    assert found is not None
    return [line.plain.rstrip() for line in outline_lines(found, look)]


def test_a_frame_is_columns_with_their_types_and_what_is_left_out() -> None:
    data = {
        "kind": "frame", "type": "DataFrame", "shape": [1000, 3], "index": ["a", "bb"],
        "columns": [{"name": "city", "dtype": "str"}, {"name": "n", "dtype": "int64"}],
        "rows": [["Oslo", "7"], ["Rio", "12345678"]],
    }  # fmt: skip
    assert drawn(data) == [
        "DataFrame  1\u202f000 rows, 3 columns",
        "    city         n",
        "     str     int64",
        "a   Oslo         7",
        "bb   Rio  12345678",
        "… 998 more rows and 1 more column",
    ]


def test_an_array_is_its_figures_and_its_first_items() -> None:
    data = {
        "kind": "array", "type": "ndarray", "shape": [2, 300], "dtype": "float64", "nbytes": 4800,
        "min": "0.5", "max": "9", "sampled": True, "rows": [["1", "22"], ["3", "4"]],
    }  # fmt: skip
    assert drawn(data) == [
        "ndarray  float64  2 × 300  4.8 kB",
        "min 0.5  max 9  of a sample",
        "1  22",
        "3   4",
        "… 596 more",
    ]
    assert drawn(data, Look(0, symbols=ASCII))[0] == "ndarray  float64  2 x 300  4.8 kB"


def test_a_tree_is_indented_and_counts_what_it_does_not_show() -> None:
    data = {
        "kind": "tree",
        "root": {"key": "", "type": "dict", "n": 2, "items": [
            {"key": "pages", "type": "list", "n": 9, "items": [
                {"key": "[0]", "type": "int", "text": "1"}]},
            {"key": "who", "type": "str", "text": "'ada'"}]},
    }  # fmt: skip
    assert drawn(data) == [
        "dict  2 items",
        "  pages  list  9 items",
        "    [0]  1",
        "    … 8 more",
        "  who  'ada'",
    ]


@pytest.mark.parametrize(
    "data",
    [
        None, [], 7, {}, {"kind": "tree"}, {"kind": "tree", "root": []}, {"kind": "else"},
    ],
)  # fmt: skip
def test_what_is_no_outline_is_none(data: Any) -> None:
    assert outline_of(data) is None


def test_an_outline_that_somebody_broke_is_drawn_as_far_as_it_goes() -> None:
    assert drawn({"kind": "frame", "shape": "x", "columns": [1], "rows": [["\x1b[2J", 3], 5]})
    assert drawn({"kind": "array", "shape": [None], "rows": [[{}]], "nbytes": "x"})
    node: dict[str, Any] = {"key": "\n", "type": "[red]", "n": 1}
    for _ in range(5000):
        node = {"key": "k", "type": "dict", "n": 1, "items": [node]}
    lines = drawn({"kind": "tree", "root": node})
    assert len(lines) < 60
    assert not any("\x1b" in line for line in lines)
