"""What the terminal can draw pictures with: asked once, before the app takes the terminal over."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.pictures import BLOCKS, Pictures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck_app.drawing.pictures import Renderer

#: A picture of one pixel that is not to be kept, the size of a cell, and what every terminal answers:
#: its attributes. They come in this order, so with the last one all is said.
_QUESTIONS: Final = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([\d;]+)c")
_CELL: Final = re.compile(rb"\x1b\[6;(\d{1,3});(\d{1,3})t")
_KITTY: Final = re.compile(rb"\x1b_Gi=31;OK\x1b\\")
_FORCED: Final[dict[str, Renderer]] = {
    "kitty": "kitty",
    "sixel": "sixel",
    "blocks": "blocks",
    "none": "none",
}
#: Seconds until a terminal that says nothing is taken for one that cannot.
_PATIENCE: Final = 0.3
_MOST_ANSWER: Final = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Graphics:
    """What a terminal said of itself.

    Args:
        kitty: it knows the graphics protocol of kitty.
        sixel: it knows sixel.
        cell: width and height of a cell in pixels.
    """

    kitty: bool = False
    sixel: bool = False
    cell: tuple[int, int] = (10, 20)


def answered(answer: bytes) -> Graphics:
    """Return what the bytes say that a terminal answered with."""
    attributes = _ATTRIBUTES.search(answer)
    size = _CELL.search(answer)
    height, width = (int(size[1]), int(size[2])) if size else (0, 0)
    return Graphics(
        kitty=_KITTY.search(answer) is not None,
        sixel=attributes is not None and b"4" in attributes[1].split(b";")[1:],
        cell=(width, height) if width and height else Graphics().cell,
    )


def may_be_asked(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal takes the questions without showing them as text."""
    term = environment.get("TERM", "")
    if environment.get("TERM_PROGRAM") == "Apple_Terminal":
        return False  # prints what it does not know
    if term.startswith("screen") and not environment.get("TMUX"):
        return False
    return term not in {"", "dumb", "linux", "unknown"} and not term.startswith("vt")


def chosen(wanted: str, can: Graphics, environment: Mapping[str, str]) -> Renderer:
    """Return what pictures are drawn with on a terminal, where the library is installed.

    Args:
        wanted: the setting ``images``.
        can: what the terminal said.
        environment: the variables that tell of its colours.
    """
    if wanted in _FORCED:
        return _FORCED[wanted]
    if "NO_COLOR" in environment:  # kitty's placeholders are found by their colour
        return "sixel" if can.sixel else "blocks"
    # Terminals that know both (WezTerm, Konsole) have no placeholders; kitty itself knows no sixel.
    if can.sixel:
        return "sixel"
    exact = environment.get("COLORTERM") in {"truecolor", "24bit"}
    return "kitty" if can.kitty and exact else "blocks"


def pictures_here(wanted: str, environment: Mapping[str, str] = os.environ) -> Pictures:
    """Return how pictures are drawn in this process's terminal; it may be asked.

    Nothing is written or read where there is no terminal on both ends, where the library is not
    installed, or where the setting says blocks or none.

    Args:
        wanted: the setting ``images``.
        environment: variables that tell of the terminal.
    """
    if wanted == "none":
        return Pictures("none")
    if wanted == "blocks" or environment.get("TEXTUAL_DRIVER") or not _is_terminal():
        return BLOCKS
    if importlib.util.find_spec("textual_image") is None:
        return BLOCKS
    can = answered(_asked()) if may_be_asked(environment) else Graphics()
    return Pictures(chosen(wanted, can, environment), can.cell)


def _is_terminal() -> bool:
    ends = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    try:
        return all(end is not None and end.isatty() for end in ends)
    except ValueError:  # closed
        return False


def _asked() -> bytes:
    """Ask the terminal; return its answer, or what of it came in time."""
    try:
        import select
        import termios
        import tty
    except ImportError:  # Windows
        return b""
    answer = b""
    try:
        source = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return b""
    try:
        before = termios.tcgetattr(source)
        try:
            tty.setcbreak(source, termios.TCSADRAIN)
            os.write(source, _QUESTIONS)
            end = time.monotonic() + _PATIENCE
            while not _ATTRIBUTES.search(answer) and len(answer) < _MOST_ANSWER:
                left = end - time.monotonic()
                if left <= 0 or not select.select([source], [], [], left)[0]:
                    break
                if not (more := os.read(source, 256)):
                    break
                answer += more
        finally:
            termios.tcsetattr(source, termios.TCSADRAIN, before)
    except (OSError, termios.error):
        return answer
    finally:
        with contextlib.suppress(OSError):
            os.close(source)
    return answer
