"""Recorded values as lines: tables, arrays and texts as they are read, not with ``\\n`` in them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.cells import cut
from flowdeck_store.safe import lines, one_line

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look

#: Lines of one value that are shown.
MOST: Final = 40


def value_lines(recorded: str) -> list[str]:
    """Return the lines of a recorded repr; of a text with line ends those of the text.

    Args:
        recorded: as in the record; one that was cut ends with ``…``.
    """
    if "\n" not in recorded and "\\n" not in recorded:
        return [one_line(recorded, 4000)]
    return lines(_text_of(recorded) or recorded, 20_000)


def _text_of(recorded: str) -> str | None:
    """Return the text whose repr was recorded, ``None`` if it is none of several lines."""
    quote = recorded[:1]
    if quote not in {"'", '"'} or "\\n" not in recorded:
        return None
    cut_off = recorded.endswith("…") and not recorded.endswith(quote)
    for whole in (recorded, f"{recorded[:-1]}{quote}", f"{recorded[:-2]}{quote}"):
        try:
            value = ast.literal_eval(whole)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, str) and "\n" in value:
            return f"{value}…" if cut_off else value.rstrip("\n")
    return None


def block(label: str, recorded: str, room: int, look: Look, *, most: int = MOST) -> list[str]:
    """Return a label and a value: in one line, or the value's lines below.

    Args:
        label: what stands before it, drawn already.
        recorded: the value as it is in the record.
        room: cells of a line.
        look: how to draw.
        most: lines that are shown.
    """
    found = value_lines(recorded)
    if len(found) == 1:
        return [f"{label}{cut(found[0], room, ellipsis=look.ellipsis)}"]
    indent = " " * 4
    shown = [indent + cut(line, room, ellipsis=look.ellipsis) for line in found[:most]]
    if len(found) > most:
        shown.append(look.paint(f"{indent}{len(found) - most} more lines", "dim"))
    return [label.rstrip(), *shown]
