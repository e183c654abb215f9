"""What the command line draws: states with their counts, tables that fit the line."""

from __future__ import annotations

import dataclasses

from app_data import NOW

from flowdeck_app.drawing import states
from flowdeck_app.drawing.cells import width
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import ASCII
from flowdeck_app.drawing.tables import TextColumn, facts, table
from flowdeck_store import states as st

PLAIN = Look(now_us=NOW)


def test_states_always_have_glyph_and_word() -> None:
    assert states.painted_name(st.COMPLETED, None, PLAIN) == "✓ Completed"
    assert states.painted_name(st.COMPLETED, "Cached", PLAIN) == "✦ Cached"
    assert states.painted_name(st.PENDING, "NotReady", PLAIN) == "↷ NotReady"
    assert states.painted_name(st.SCHEDULED, "AwaitingRetry", PLAIN) == "↻ AwaitingRetry"
    assert states.painted_name(st.FAILED, "TimedOut", PLAIN) == "✗ TimedOut"
    ascii_only = dataclasses.replace(PLAIN, symbols=ASCII)
    assert states.painted_name(st.FAILED, None, ascii_only) == "x Failed"
    colored = dataclasses.replace(PLAIN, color=True)
    assert states.painted_name(st.FAILED, None, colored) == "\x1b[31m✗ Failed\x1b[0m"


def test_counts_leave_zeros_out_and_the_bar_is_as_long_as_asked() -> None:
    counts = (0, 2, 1, 5, 1, 0, 0, 1, 0)
    assert states.painted_counts(counts, PLAIN) == "✓ 5  ✦ 1  ▸ 1  ◌ 2  ✗ 1"
    assert states.painted_counts(counts, PLAIN, words=True).startswith("✓ 5 completed  ✦ 1 cached")
    assert states.ended_tasks(counts) == 7
    assert states.painted_bar(counts, 20, PLAIN) == "━" * 14 + "─" * 6
    assert states.painted_bar((0,) * 9, 20, PLAIN) == "─" * 20


def test_a_table_fits_the_width_and_shrinks_what_may_shrink() -> None:
    columns = (
        TextColumn("Run", right=True),
        TextColumn("Name", least=6, middle=True),
        TextColumn("M", least=4),
    )
    rows = [["1", ("a-very-long-name-of-a-run", ""), "short"], ["12", "x", "a long message here"]]
    shown = table(columns, rows, dataclasses.replace(PLAIN, width=30))
    assert all(width(line) <= 30 for line in shown)
    assert shown[0].split() == ["Run", "Name", "M"]
    assert shown[1].startswith("  1  a-")
    assert "…" in shown[1]


def test_a_table_in_a_pipe_is_not_cut_and_wide_characters_keep_columns_aligned() -> None:
    rows = [["日本語", "a"], ["x", "b" * 100]]
    shown = table((TextColumn("N", least=3), TextColumn("V", least=3)), rows, PLAIN)
    assert shown[2].endswith("b" * 100)
    assert width(shown[1].partition("a")[0]) == width(shown[2].partition("b")[0])


def test_an_empty_column_that_may_shrink_is_left_out() -> None:
    shown = table((TextColumn("A"), TextColumn("B", least=2)), [["1", ""], ["2", ""]], PLAIN)
    assert shown == ["A", "1", "2"]


def test_hostile_cells_stay_in_their_line() -> None:
    rows = [["x\ny\x1b[2J", "ok"]]
    shown = table((TextColumn("A", least=3), TextColumn("B")), rows, PLAIN)
    assert shown[1] == "x\\ny\\x1b[2J  ok"


def test_facts_leave_out_what_is_empty() -> None:
    assert facts([("a", "1"), ("long", ""), ("bcd", "2")], PLAIN) == ["a    1", "bcd  2"]
