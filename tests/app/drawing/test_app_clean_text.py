"""Untrusted text is drawable, harmless and exactly as wide as was asked for."""

from __future__ import annotations

import string

import pytest
from app_data import HOSTILE
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flowdeck_app.drawing import amounts
from flowdeck_app.drawing import cells as t
from flowdeck_app.drawing.levels import level_number
from flowdeck_store.safe import lines, one_line

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
    assert amounts.number(value, " ") == shown


def test_lines_of_a_text_are_kept_apart_and_cut() -> None:
    assert t.clean_lines("a\r\nb\tc\n" + string.ascii_letters, limit=5) == ["a", "b   c", "abcde"]
    assert len(t.clean_lines("\n" * 1000, most=20)) == 20


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("bell\x07 nul\x00 c1\x9b", "bell\\x07 nul\\x00 c1\\x9b"),
        ("right\u202eto left", "right\\u202eto left"),
        ("\ud800", "\\ud800"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("emoji 🦦", "emoji 🦦"),
    ],
)
def test_one_line_keeps_text_and_disarms_control_characters(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_long_line_of_a_stream_is_cut_before_any_work_is_done_on_it() -> None:
    assert len(one_line("x" * 10_000_000, 50)) == 50
    first, *rest = lines("y" * 200_000, 1000)
    assert rest == []
    assert first.endswith("(199000 more characters)")


def test_lines_of_a_stream_are_split_and_tabs_expanded() -> None:
    assert lines("a\tb\r\nc\x1b") == ["a   b", "c\\x1b"]


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (0, "0 B"), (999, "999 B"), (41_234_567, "41.2 MB")]
)
def test_sizes(count: int | None, text: str) -> None:
    assert amounts.size(count) == text


@pytest.mark.parametrize(
    ("text", "number"), [("info", 20), ("WARN", 30), ("15", 15), ("loud", None), ("", None)]
)
def test_levels_by_name_or_number(text: str, number: int | None) -> None:
    assert level_number(text) == number
