"""Where things stand in a JSON text: what to colour, where it breaks, where a value is. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN: Final = re.compile(
    r'(?P<text>"(?:[^"\\\n]|\\.)*"?)|(?P<number>-?\d[\d.eE+-]*)|(?P<word>[A-Za-z_]+)|(?P<sign>[{}\[\],:])'
)
_AFTER: Final = re.compile(r"\s*:")
#: Deeper values are found at the value that holds them.
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True)
class TextPlace:
    """A stretch of one line; line and column count from 0."""

    line: int
    column: int
    length: int

    def __str__(self) -> str:
        return f"line {self.line + 1}, column {self.column + 1}"


def coloured(line: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and kind (``key``, ``text``, ``number``, ``word``) of what a line holds."""
    for token in _TOKEN.finditer(line):
        kind = token.lastgroup or ""
        if kind == "text" and _AFTER.match(line, token.end()):
            kind = "key"
        if kind != "sign":
            yield token.start(), token.end(), kind


def broken_at(text: str) -> tuple[TextPlace, str] | None:
    """Return where a text ceases to be JSON, and why; ``None`` if it is JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return TextPlace(error.lineno - 1, error.colno - 1, 1), error.msg.lower()
    except RecursionError:
        return TextPlace(0, 0, 1), "nested too deeply"
    return None


def places(text: str) -> dict[str, TextPlace]:
    """Return where the values of a JSON text stand, by their path as people write it (``a.b.0``).

    A field of an object is where its name is, an item of a list where it begins.
    """
    found: dict[str, TextPlace] = {}
    path: list[str | int] = []
    for line, words in enumerate(text.split("\n")):
        for token in _TOKEN.finditer(words):
            sign = token[0]
            if len(path) > _DEEPEST:
                return found
            if sign in {"}", "]"}:
                if path:
                    path.pop()
            elif sign == ",":
                if path and isinstance(path[-1], int):
                    path[-1] += 1
            elif sign != ":":
                here = TextPlace(line, token.start(), len(sign))
                is_key = token.lastgroup == "text" and _AFTER.match(words, token.end())
                if is_key and path and not isinstance(path[-1], int):
                    path[-1] = _plain(sign)
                    found.setdefault(".".join(map(str, path)), here)
                elif path and isinstance(path[-1], int):
                    found.setdefault(".".join(map(str, path)), here)
                if sign in {"{", "["}:
                    path.append("" if sign == "{" else 0)
    return found


def _plain(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
