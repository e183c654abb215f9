"""The title of a failure: as many lines as it needs, and its end when there are too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.drawing.cells import width
from flowdeck_app.screens.parts.headline import headline_rows

WORDS = "ValueError: " + " ".join(f"word{n}" for n in range(40)) + " the reason is here"


def test_a_short_message_is_one_line() -> None:
    assert headline_rows("ValueError: no", 40, 80, 3, "…") == ["ValueError: no"]


def test_a_longer_one_goes_on_below_over_the_whole_width() -> None:
    rows = headline_rows(WORDS, 40, 80, 9, "…")
    assert len(rows) > 3
    assert width(rows[0]) <= 40
    assert max(map(width, rows[1:])) > 60
    assert " ".join(rows).split() == WORDS.split()


@pytest.mark.parametrize("most", [1, 2, 3])
def test_of_one_that_is_too_long_beginning_and_end_are_shown(most: int) -> None:
    rows = headline_rows(WORDS, 40, 80, most, "…")
    assert len(rows) == most
    assert rows[-1].startswith("…")
    assert rows[-1].endswith("the reason is here")
    assert most == 1 or rows[0].startswith("ValueError: word0")


@given(st.text("ab 日é", max_size=300), st.integers(4, 60), st.integers(10, 90), st.integers(1, 6))
def test_no_line_is_ever_too_long(text: str, first: int, cells: int, most: int) -> None:
    rows = headline_rows(text, first, cells, most, "…")
    assert 1 <= len(rows) <= most
    assert width(rows[0]) <= first
    assert all(width(row) <= cells for row in rows[1:])


@pytest.mark.parametrize("cells", [-1, 0, 1, 2])
def test_without_room_it_ends_all_the_same(cells: int) -> None:
    assert len(headline_rows(WORDS, cells - 20, cells, 2, "…")) == 2
