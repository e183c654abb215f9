"""Colours that a text brings along: SGR sequences, and nothing else a terminal would act on.

Programs that are run by a task print with colours (pytest, ruff, progress bars). Their colours are
drawn as colours; every other control character stays visible, as :func:`.text.clean` shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SGR: Final = re.compile("\x1b\\[([0-9;:]{0,100})m")
_NAMES: Final = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
#: Code -> attribute of :class:`Pen` that it turns on.
_ON: Final = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_OFF: Final = {
    22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("strike",),
}  # fmt: skip
_STEPS: Final = (0, 95, 135, 175, 215, 255)  # of the colour cube


@dataclass(frozen=True, slots=True)
class Pen:
    """What a terminal writes with at some place of a text. Hidden and blinking text there is none."""

    fore: str = ""
    back: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False

    @property
    def style(self) -> str:
        """The style's name for Textual, ``""`` for none."""
        words = [name for name in _ON.values() if getattr(self, name)]
        words += [self.fore] if self.fore else []
        words += [f"on {self.back}"] if self.back else []
        return " ".join(words)

    def after(self, parameters: str) -> Pen:
        """Return the pen behind an SGR sequence; what is not known changes nothing."""
        codes = [int(word) if word.isdecimal() else 0 for word in re.split("[;:]", parameters)]
        pen, place = self, 0
        while place < len(codes):
            code = codes[place]
            if code in {38, 48}:
                colour, used = _extended(codes[place + 1 :])
                place += used
                if colour:
                    pen = pen._with(**{"fore" if code == 38 else "back": colour})
            else:
                pen = pen._simple(code)
            place += 1
        return pen

    def _with(self, **changes: Any) -> Pen:
        return replace(self, **changes)

    def _simple(self, code: int) -> Pen:
        if code == 0:
            return PLAIN
        if code in _ON:
            return self._with(**{_ON[code]: True})
        if code in _OFF:
            return self._with(**dict.fromkeys(_OFF[code], False))
        bright = "bright_" if code >= 90 else ""
        colour = f"ansi_{bright}{_NAMES[code % 10]}" if code % 10 < 8 else ""
        if code // 10 in {3, 9}:
            return self._with(fore=colour)
        if code // 10 in {4, 10}:
            return self._with(back=colour)
        return self


PLAIN: Final = Pen()


def _extended(codes: Sequence[int]) -> tuple[str, int]:
    """Return the colour of ``38;5;N`` or ``38;2;R;G;B`` and how many codes it took."""
    if codes[:1] == [5] and len(codes) > 1:
        return _indexed(codes[1]), 2
    if codes[:1] == [2] and len(codes) > 3:
        red, green, blue = (min(255, code) for code in codes[1:4])
        return f"#{red:02x}{green:02x}{blue:02x}", 4
    return "", len(codes)


def _indexed(index: int) -> str:
    if index < 16:
        return f"ansi_{'bright_' if index > 7 else ''}{_NAMES[index % 8]}"
    if index < 232:
        place = index - 16
        red, green, blue = (_STEPS[place // size % 6] for size in (36, 6, 1))
        return f"#{red:02x}{green:02x}{blue:02x}"
    grey = 8 + 10 * (min(index, 255) - 232)
    return f"#{grey:02x}{grey:02x}{grey:02x}"


def has_colours(text: str) -> bool:
    """Say whether a text has any sequence that this module takes."""
    return "\x1b[" in text and _SGR.search(text) is not None


def without_colours(text: str) -> str:
    """Return a text without its SGR sequences."""
    return _SGR.sub("", text) if "\x1b[" in text else text


def parts(text: str, pen: Pen = PLAIN) -> Iterator[tuple[str, Pen]]:
    """Cut a text where its colours change; the last part may be empty and has the pen behind it."""
    place = 0
    for found in _SGR.finditer(text):
        if found.start() > place:
            yield text[place : found.start()], pen
        pen, place = pen.after(found[1]), found.end()
    yield text[place:], pen
