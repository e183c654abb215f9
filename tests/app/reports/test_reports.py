"""Records as lines of text: tracebacks, log lines, and text that means harm."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cli_builder import T0, exception_dict

from flowdeck_app.drawing.look import Look
from flowdeck_app.reports import failures, logs
from flowdeck_store.read.records import LogRecord

PLAIN = Look(now_us=T0)


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
