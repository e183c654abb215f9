"""Records as text: widths, times, states, tracebacks, and text that means harm."""

from __future__ import annotations

import dataclasses
from datetime import UTC
from typing import Any

import pytest
from cli_builder import T0, exception_dict

from flowdeck_app.text import failures, logs, safe, states, times
from flowdeck_app.text.look import Look
from flowdeck_app.text.tables import Cell, Column, facts, table
from flowdeck_app.views.text import width
from flowdeck_store import states as st
from flowdeck_store.records import LogRecord

PLAIN = Look(now_us=T0)
SECOND = 1_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-3, "0ms"),
        (0.0, "0ms"),
        (0.0184, "18ms"),
        (0.0994, "99ms"),
        (0.2, "0.2s"),
        (44.14, "44.1s"),
        (59.94, "59.9s"),
        (59.96, "1m 00s"),
        (124, "2m 04s"),
        (3599.6, "1h 00m"),
        (4320, "1h 12m"),
        (86_399.9, "1d 0h"),
        (273_600, "3d 4h"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert times.duration(seconds) == text


def test_times_of_day_carry_a_date_when_it_is_not_todays() -> None:
    day = 86_400 * SECOND
    assert times.clock(T0, T0, zone=UTC) == "10:00:00"
    assert times.clock(T0 - day, T0, zone=UTC) == "Nov 21 10:00"
    assert times.clock(T0 - 400 * day, T0, zone=UTC) == "2025-10-18"
    assert times.clock(None, T0) == "–"
    assert times.clock_ms(T0 + 1234, zone=UTC) == "10:00:00.001"
    assert times.full(T0, zone=UTC) == "2026-11-22 10:00:00.000 UTC"
    assert times.full(10**30, zone=UTC).startswith("1970-01-01")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "just now"), (48, "48s ago"), (200, "3m ago"), (2 * 86_400, "2d ago"), (-90, "in 1m")],
)
def test_how_long_ago(seconds: float, text: str) -> None:
    assert times.ago(T0 - round(seconds * SECOND), T0) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "–"), (0, "0 B"), (999, "999 B"), (41_234_567, "41.2 MB")]
)
def test_sizes(count: int | None, text: str) -> None:
    assert times.size(count) == text


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
    assert safe.one_line(text) == shown


def test_long_text_is_cut_before_any_work_is_done_on_it() -> None:
    assert len(safe.one_line("x" * 10_000_000, 50)) == 50
    first, *rest = safe.lines("y" * 200_000, 1000)
    assert rest == []
    assert first.endswith("(199000 more characters)")


def test_lines_are_split_and_tabs_expanded() -> None:
    assert safe.lines("a\tb\r\nc\x1b") == ["a   b", "c\\x1b"]


def test_states_always_have_glyph_and_word() -> None:
    assert states.state(st.COMPLETED, None, PLAIN) == "✓ Completed"
    assert states.state(st.COMPLETED, "Cached", PLAIN) == "✦ Cached"
    assert states.state(st.PENDING, "NotReady", PLAIN) == "↷ NotReady"
    assert states.state(st.SCHEDULED, "AwaitingRetry", PLAIN) == "↻ AwaitingRetry"
    assert states.state(st.FAILED, "TimedOut", PLAIN) == "✗ TimedOut"
    ascii_only = dataclasses.replace(PLAIN, ascii=True)
    assert states.state(st.FAILED, None, ascii_only) == "x Failed"
    colored = dataclasses.replace(PLAIN, color=True)
    assert states.state(st.FAILED, None, colored) == "\x1b[31m✗ Failed\x1b[0m"


def test_counts_leave_zeros_out_and_the_bar_is_as_long_as_asked() -> None:
    counts = (0, 2, 1, 5, 1, 0, 0, 1, 0)
    assert states.counts(counts, PLAIN) == "✓ 5  ✦ 1  ▸ 1  ◌ 2  ✗ 1"
    assert states.counts(counts, PLAIN, words=True).startswith("✓ 5 completed  ✦ 1 cached")
    assert states.ended(counts) == 7
    assert states.bar(counts, 20, PLAIN) == "━" * 14 + "─" * 6
    assert states.bar((0,) * 9, 20, PLAIN) == "─" * 20


def test_a_table_fits_the_width_and_shrinks_what_may_shrink() -> None:
    columns = (
        Column("Run", right=True),
        Column("Name", least=6, middle=True),
        Column("M", least=4),
    )
    rows = [["1", Cell("a-very-long-name-of-a-run"), "short"], ["12", "x", "a long message here"]]
    shown = table(columns, rows, dataclasses.replace(PLAIN, width=30))
    assert all(width(line) <= 30 for line in shown)
    assert shown[0].split() == ["Run", "Name", "M"]
    assert shown[1].startswith("  1  a-")
    assert "…" in shown[1]


def test_a_table_in_a_pipe_is_not_cut_and_wide_characters_keep_columns_aligned() -> None:
    rows = [["日本語", "a"], ["x", "b" * 100]]
    shown = table((Column("N", least=3), Column("V", least=3)), rows, PLAIN)
    assert shown[2].endswith("b" * 100)
    assert width(shown[1].partition("a")[0]) == width(shown[2].partition("b")[0])


def test_an_empty_column_that_may_shrink_is_left_out() -> None:
    shown = table((Column("A"), Column("B", least=2)), [["1", ""], ["2", ""]], PLAIN)
    assert shown == ["A", "1", "2"]


def test_hostile_cells_stay_in_their_line() -> None:
    rows = [["x\ny\x1b[2J", "ok"]]
    shown = table((Column("A", least=3), Column("B")), rows, PLAIN)
    assert shown[1] == "x\\ny\\x1b[2J  ok"


def test_facts_leave_out_what_is_empty() -> None:
    assert facts([("a", "1"), ("long", ""), ("bcd", "2")], PLAIN) == ["a    1", "bcd  2"]


def test_a_traceback_shows_source_carets_and_locals_but_no_secret() -> None:
    shown = failures.traceback(exception_dict(), PLAIN)
    text = "\n".join(shown)
    assert 'File "/flows/etl.py", line 5, in fetch' in text
    assert "    > 5     return parse(page) + 1" in shown
    assert shown[shown.index("    > 5     return parse(page) + 1") + 1].strip() == "^" * 13
    caret = shown[shown.index("    > 5     return parse(page) + 1") + 1]
    assert "    > 5     return parse(page) + 1"[caret.index("^") :].startswith("parse(page) +")
    assert "page" in text
    assert "int = 3" in text
    assert "<hidden>" not in text
    assert "token str = hidden" in " ".join(text.split())
    assert shown[-1] == "ValueError: bad page 3"


def test_frames_of_libraries_are_folded_until_they_are_asked_for() -> None:
    folded = "\n".join(failures.traceback(exception_dict(), PLAIN))
    assert "in inner" not in folded
    assert "(1 frames of libraries)" in folded
    assert "in parse" in folded  # where it was raised
    assert "in inner" in "\n".join(failures.traceback(exception_dict(), PLAIN, every_frame=True))


def test_causes_notes_and_groups_are_shown_in_pythons_order() -> None:
    cause = exception_dict(type="KeyError", message="'x'", frames=[])
    member = exception_dict(type="OSError", message="gone", frames=[], notes=["try again"])
    shown = failures.traceback(
        exception_dict(
            frames=[], cause=cause, group=[member], module="my.errors", notes=["a note"]
        ),
        PLAIN,
    )
    assert shown[0] == "KeyError: 'x'"
    assert "direct cause" in shown[2]
    assert shown[4:] == [
        "my.errors.ValueError: bad page 3",
        "a note",
        "  +-- 1 of 1 --",
        "  | OSError: gone",
        "  | try again",
    ]


def test_a_suppressed_context_is_not_shown() -> None:
    context = exception_dict(type="KeyError", frames=[])
    hidden = exception_dict(frames=[], context=context, suppress_context=True)
    assert failures.traceback(hidden, PLAIN) == ["ValueError: bad page 3"]
    shown = failures.traceback(exception_dict(frames=[], context=context), PLAIN)
    assert "During handling" in "\n".join(shown)


def test_a_chain_without_end_and_hostile_text_do_no_harm() -> None:
    endless = exception_dict(frames=[], message="\x1b]0;owned\x07")
    endless["cause"] = endless
    shown = failures.traceback(endless, PLAIN)
    assert "further causes" in shown[0]
    assert not any("\x1b" in line or "\x07" in line for line in shown)


def test_a_syntax_error_shows_its_place() -> None:
    place = {"file": "/flows/x.py", "lineno": 3, "text": "def f(:", "col": 6, "end_col": 7}
    shown = failures.traceback(exception_dict(frames=[], syntax=place, type="SyntaxError"), PLAIN)
    assert shown[:2] == ['  File "/flows/x.py", line 3', "      def f(:"]


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({"file": None, "lineno": None, "text": None}, []),
        ({"file": None, "lineno": None, "text": "def f(:"}, ["      def f(:"]),
        ({"file": None, "lineno": 2, "text": None}, ['  File "<string>", line 2']),
        ({"file": "x.toml", "lineno": None, "text": None}, ['  File "x.toml"']),
    ],
)
def test_a_syntax_error_shows_as_much_of_its_place_as_is_known(
    place: dict[str, Any], shown: list[str]
) -> None:
    exception = exception_dict(frames=[], syntax=place, type="SyntaxError", message="bad")
    assert failures.traceback(exception, PLAIN) == [*shown, "SyntaxError: bad"]


def test_log_lines_name_the_run_for_run_loggers_only() -> None:
    line = LogRecord(1, 1, 2, T0 + 785_000, 30, "flowdeck.task_runs", "careful\nnow")
    assert logs.log_lines(line, "Task run 'fetch-3'", PLAIN)[0].endswith(
        ".785 | WARNING | Task run 'fetch-3' - careful"
    )
    assert logs.log_lines(line, "Task run 'fetch-3'", PLAIN)[1] == "now"
    other = dataclasses.replace(line, logger="httpx")
    assert logs.log_lines(other, "Task run 'fetch-3'", PLAIN)[0].endswith("| httpx - careful")


@pytest.mark.parametrize(
    ("text", "number"), [("info", 20), ("WARN", 30), ("15", 15), ("loud", None), ("", None)]
)
def test_levels_by_name_or_number(text: str, number: int | None) -> None:
    assert logs.level_number(text) == number
