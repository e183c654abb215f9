"""Pictures in the pixels of a terminal: what is chosen, what is asked, and what reaches the library."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from app_harness import screen_text, settle
from test_artifact_screens import png

from flowdeck import artifact, flow
from flowdeck.runs import recorder as recording
from flowdeck.settings import using
from flowdeck_app.drawing.pictures import (
    CannotBeDrawn,
    Pictures,
    picture_pixels,
    pixels_as_blocks,
)
from flowdeck_app.screens.artifacts.screen import ArtifactScreen
from flowdeck_app.terminal import graphics
from flowdeck_app.terminal.graphics import Graphics, answered, chosen, may_be_asked
from flowdeck_app.widgets.picture import picture_widget
from flowdeck_store.file.paths import StorePaths

if TYPE_CHECKING:
    from pathlib import Path

EXACT = {"COLORTERM": "truecolor"}
BOTH = Graphics(kitty=True, sixel=True)


@pytest.mark.parametrize(
    ("wanted", "can", "environment", "renderer"),
    [
        ("auto", Graphics(), EXACT, "blocks"),
        ("auto", Graphics(kitty=True), EXACT, "kitty"),
        ("auto", Graphics(kitty=True), {}, "blocks"),  # placeholders need the exact colour
        ("auto", Graphics(kitty=True), {**EXACT, "NO_COLOR": "1"}, "blocks"),
        ("auto", Graphics(sixel=True), {}, "sixel"),
        ("auto", BOTH, EXACT, "sixel"),  # kitty's protocol, but not its placeholders
        ("kitty", Graphics(), {}, "kitty"),
        ("sixel", Graphics(), {}, "sixel"),
        ("blocks", BOTH, EXACT, "blocks"),
        ("none", BOTH, EXACT, "none"),
    ],
)
def test_what_draws_follows_from_the_setting_and_what_the_terminal_said(
    wanted: str, can: Graphics, environment: dict[str, str], renderer: str
) -> None:
    assert chosen(wanted, can, environment) == renderer


def test_answers_of_terminals_are_understood() -> None:
    kitty = b"\x1b_Gi=31;OK\x1b\\\x1b[6;21;9t\x1b[?62;c"
    assert answered(kitty) == Graphics(kitty=True, cell=(9, 21))
    assert answered(b"\x1b[6;16;8t\x1b[?62;4;22c") == Graphics(sixel=True, cell=(8, 16))
    assert answered(b"\x1b[?1;2c") == Graphics()
    assert answered(b"\x1b[?4;2c") == Graphics()  # the class of the terminal, no ability
    assert answered(b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[6;0;0t") == Graphics()
    assert answered(b"") == Graphics()


def test_terminals_that_would_show_the_questions_are_not_asked() -> None:
    assert may_be_asked({"TERM": "xterm-256color"})
    assert may_be_asked({"TERM": "screen-256color", "TMUX": "/tmp/x"})
    refused: list[dict[str, str]] = [
        {}, {"TERM": "dumb"}, {"TERM": "linux"}, {"TERM": "screen"},
        {"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"},
    ]  # fmt: skip
    for environment in refused:
        assert not may_be_asked(environment)


def test_nothing_is_asked_without_a_terminal_or_in_a_browser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graphics, "_asked", lambda: pytest.fail("asked"))
    monkeypatch.setattr(graphics, "_is_terminal", lambda: False)
    for wanted in ("auto", "kitty", "sixel"):
        assert graphics.pictures_here(wanted, {"TERM": "xterm-kitty"}) == Pictures("blocks")
    monkeypatch.setattr(graphics, "_is_terminal", lambda: True)
    assert graphics.pictures_here("kitty", {"TEXTUAL_DRIVER": "x"}) == Pictures("blocks")
    assert graphics.pictures_here("none", {}) == Pictures("none")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo terminals")
def test_a_terminal_is_asked_once_and_its_state_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import termios

    main, other = os.openpty()
    name = os.ttyname(other)
    opened = os.open
    monkeypatch.setattr(
        graphics.os, "open", lambda path, flags: opened(name if path == "/dev/tty" else path, flags)
    )
    asked: list[bytes] = []

    def terminal() -> None:
        while b"\x1b[c" not in b"".join(asked):
            asked.append(os.read(main, 100))
        os.write(main, b"\x1b[6;18;9t\x1b[?62;4c")

    before = termios.tcgetattr(other)
    thread = threading.Thread(target=terminal)
    monkeypatch.setattr(graphics, "_PATIENCE", 20.0)
    monkeypatch.setattr(graphics, "_is_terminal", lambda: True)
    monkeypatch.setattr(graphics.importlib.util, "find_spec", lambda _: True)
    thread.start()
    try:
        found = graphics.pictures_here("auto", {"TERM": "foot"})
        assert found == Pictures("sixel", (9, 18))
        assert termios.tcgetattr(other) == before
    finally:
        thread.join()
        os.close(main)
        os.close(other)


def test_pixels_fill_whole_cells_and_little_ones_stay_little() -> None:
    pytest.importorskip("PIL")
    picture = picture_pixels(png(400, 200), 20, 30, (10, 20))
    assert (picture.mode, picture.size) == ("RGB", (200, 100))
    assert picture_pixels(png(20, 20), 80, 30, (10, 20)).size == (80, 80)
    wide = picture_pixels(png(200, 100), 400, 100, (10, 20))
    assert wide.width * wide.height <= 400_000  # what is sent is bounded on the largest screens
    assert pixels_as_blocks(picture, (10, 20)).plain.splitlines() == ["▀" * 20] * 5


def test_a_broken_or_huge_picture_is_refused_before_the_library() -> None:
    pytest.importorskip("PIL")
    huge = png().replace(b"\x00\x00\x00\x04\x00\x00\x00\x04", b"\x00\x00\xff\xff\x00\x00\xff\xff")
    for data in (png()[:45], huge, b"", b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        with pytest.raises(CannotBeDrawn):
            picture_pixels(data, 80, 30, (10, 20))


def test_without_the_library_there_is_no_widget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual_image", None)
    monkeypatch.setitem(sys.modules, "textual_image.widget", None)
    output = sys.__stdout__
    assert picture_widget(object(), Pictures("kitty")) is None
    assert sys.__stdout__ is output
    assert "TEXTUAL_CELL_WIDTH" not in os.environ


@flow
def drawn() -> None:
    artifact.image(png(60, 60), key="whole")
    artifact.image(png(60, 60), key="broken")


@pytest.mark.anyio
@pytest.mark.parametrize("renderer", ["kitty", "sixel", "blocks", "none"])
async def test_a_forced_renderer_draws_a_picture_and_refuses_a_broken_one(
    app_for: Any, home: Path, renderer: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("textual_image")
    with using(home=home, console=False):
        drawn()
        recording.close_all()
    app = app_for()
    app.pictures = Pictures(renderer)
    async with app.run_test(size=(100, 30)) as pilot:
        whole, broken = await app.access.ask(lambda reader: reader.shown_artifacts(1))
        screen = ArtifactScreen(whole)
        app.push_screen(screen)
        await settle(pilot, lambda: bool(screen.query("#artifact-picture")))
        widget = screen.query_one("#artifact-picture")
        kinds = {"kitty": "TGPImage", "sixel": "Image", "blocks": "Static", "none": "Static"}
        assert type(widget).__name__ == kinds[renderer]
        await settle(pilot, lambda: widget.size.height > 0)
        if renderer in {"kitty", "sixel"}:
            assert widget.size == (24, 12)  # four times as large, in cells of 10 × 20
            assert type(widget).__module__.startswith("textual_image.")
        elif renderer == "none":
            assert "not drawn" in screen_text(app)
        await pilot.press("escape")
        folder = StorePaths(home).artifacts
        for file in [one for one in folder.rglob("*") if one.is_file()]:
            file.write_bytes(png()[:45])
        app.push_screen(ArtifactScreen(broken))
        words = "not drawn" if renderer == "none" else "cannot be drawn"
        await settle(pilot, lambda: words in screen_text(app))
    said = capfd.readouterr().out
    assert ("\x1b_G" in said) == (renderer == "kitty")
    assert ("a=d" in said) == (renderer == "kitty")  # and it was freed again
