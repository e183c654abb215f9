"""Untrusted text is drawable, harmless and exactly as wide as was asked for."""

from __future__ import annotations

import string

import pytest
from app_data import HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.views import text as t

TEXTS = st.text(max_size=60) | st.sampled_from(HOSTILE)


@given(TEXTS)
def test_a_cleaned_line_has_no_control_characters_and_no_line_breaks(text: str) -> None:
    cleaned = t.clean(text)
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in cleaned)
    assert "\u202e" not in cleaned
    assert "\u200d" not in cleaned
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode("utf-8")  # no lone surrogates


@given(TEXTS)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    assert t.clean(t.clean(text)) == t.clean(text)


def test_markup_is_left_as_it_is() -> None:
    assert t.clean("[/foo] dict[str, int] [x]") == "[/foo] dict[str, int] [x]"


def test_control_characters_become_visible_and_tabs_become_spaces() -> None:
    assert t.clean("a\tb\nc\x1b[31m\x00") == "a   b⏎c␛[31m␀"
    assert t.clean("a\x1bb", ascii_only=True) == "a?b"


def test_a_very_long_text_is_cut_before_work_is_done_on_it() -> None:
    assert len(t.clean("\x1b" * 10_000_000)) == t.DRAWN


@given(TEXTS, st.integers(1, 40))
def test_fitted_text_takes_exactly_the_cells_asked_for(text: str, cells: int) -> None:
    line = t.clean(text)
    for fitted in (t.fit(line, cells), t.fit_right(line, cells), t.fit_middle(line, cells)):
        assert cell_len(fitted) == cells
    assert t.width(t.cut(line, cells)) <= cells


@given(TEXTS, st.integers(2, 40))
def test_wrapping_loses_nothing_and_keeps_to_the_width(text: str, cells: int) -> None:
    line = t.clean(text)
    pieces = t.wrap_cells(line, cells)
    assert "".join(pieces) == line
    assert all(t.width(piece) <= cells for piece in pieces)


def test_the_middle_is_cut_so_that_both_ends_of_a_name_are_seen() -> None:
    assert t.fit_middle("fetch_invoices[3]", 12) == "fetch_i…s[3]"


def test_wide_characters_are_cut_at_whole_cells() -> None:
    assert t.fit("日本語", 5) == "日本…"
    assert t.fit("日本語", 4) == "日 …"
    assert t.fit_right("日本", 6) == "  日本"


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (999, "999"), (4812, "4 812")])
def test_thousands_stand_apart(value: int, shown: str) -> None:
    assert t.number(value, " ") == shown


def test_lines_of_a_text_are_kept_apart_and_cut() -> None:
    assert t.clean_lines("a\r\nb\tc\n" + string.ascii_letters, limit=5) == ["a", "b   c", "abcde"]
    assert len(t.clean_lines("\n" * 1000, most=20)) == 20
