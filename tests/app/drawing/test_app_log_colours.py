"""Colours in log texts are drawn as colours, and only colours."""

from __future__ import annotations

import re
from typing import Any

import pytest
from app_data import NOW, ZONE, log
from app_harness import Bench, screen_text, settle
from hypothesis import given
from hypothesis import strategies as st

from flowdeck_app.drawing.ansi import PLAIN, parts, without_colours
from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.signs import symbols
from flowdeck_app.views.logs import log_lines
from flowdeck_app.widgets.lines.source import MemorySource
from flowdeck_app.widgets.log_view import LogView

LOOK = Look(NOW, symbols(False), ZONE)
MESSAGE = "\x1b[1;31mFAILED\x1b[0m tests \x1b[38;5;208mslow\x1b[39m \x1b[38;2;1;2;3;48;5;16mdeep\x1b[m end"


@pytest.mark.parametrize(
    ("sequence", "style"),
    [
        ("31", "ansi_red"), ("1;32", "bold ansi_green"), ("97;41", "ansi_bright_white on ansi_red"),
        ("38;5;9", "ansi_bright_red"), ("38;5;255", "#eeeeee"), ("48;2;300;0;7", "on #ff0007"),
        ("38:2:1:2:3", "#010203"), ("4;3;9;7;2", "dim italic underline reverse strike"),
        ("1;22", ""), ("31;39", ""), ("", ""), ("0", ""), ("5;8;73", ""), ("38", ""), ("38;5", ""),
        ("999999;1", "bold"), ("38;2;1", ""),
    ],
)  # fmt: skip
def test_sequences_are_what_terminals_make_of_them(sequence: str, style: str) -> None:
    assert PLAIN.after(sequence).style == style


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("cells", [40, 120])
def test_each_letter_has_its_colour_however_it_is_wrapped(wrap: bool, cells: int) -> None:
    found: dict[str, set[str]] = {}
    for line in log_lines(log(1, MESSAGE), LOOK, cells, wrap=wrap):
        assert "\x1b" not in line.plain
        for start, end, style in line.spans:
            for word in re.findall(r"[A-Za-z]+", line.plain[start:end]):
                found.setdefault(str(style), set()).add(word)
    colours = {style: words for style, words in found.items() if "$" not in style}
    assert colours == {
        "bold ansi_red": {"FAILED"}, "#ff8700": {"slow"}, "#010203 on #000000": {"deep"},
    }  # fmt: skip


def test_a_colour_goes_on_over_lines_until_it_is_ended() -> None:
    lines = log_lines(log(1, "\x1b[33mone\ntwo\x1b[0m\nthree"), LOOK, 80, wrap=True)
    coloured = [any(str(span.style) == "ansi_yellow" for span in line.spans) for line in lines]
    assert coloured == [True, True, False]


@given(st.text(st.sampled_from("ab1;:[m\x1b\n\t日e\u0301K2J?hl\x9b\x07"), max_size=40))
def test_nothing_but_colours_is_taken(text: str) -> None:
    assert "".join(part for part, _ in parts(text)) == without_colours(text)
    for wrap in (False, True):
        for line in log_lines(log(1, text or "x"), LOOK, 80, wrap=wrap):
            assert re.search("[\x00-\x1f\x7f-\x9f]", line.plain) is None


@pytest.mark.anyio
@pytest.mark.usefixtures("bare")
async def test_they_are_drawn(app_for: Any) -> None:
    app = app_for()
    async with app.run_test(size=(80, 15)) as pilot:
        rows = [log(1, MESSAGE), log(2, "\x1b[2J\x1b[Hnot \x1b]0;a title\x07a colour")]
        view = LogView(MemorySource(rows, key=lambda row: row.seq))
        await app.push_screen(Bench(view))
        await settle(pilot, lambda: "FAILED tests slow deep end" in screen_text(app))
        assert "␛[2J␛[Hnot ␛]0;a title␇a colour" in screen_text(app)
        strips = app.screen._compositor.render_strips()
        segments = {seg.text.strip(): seg.style for strip in strips for seg in strip}
        assert segments["FAILED"].bold
        assert segments["FAILED"].color.name in {"red", "ansi_red"} or segments["FAILED"].color
        assert segments["slow"].color.triplet.hex == "#ff8700"
        assert segments["deep"].bgcolor.triplet.hex == "#000000"
        assert view.copy_of(rows[0])[0] == "FAILED tests slow deep end"
