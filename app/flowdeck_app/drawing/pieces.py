"""Lines made of pieces: a text, its style, and what a click on it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content, Span

from flowdeck_app.drawing.cells import cut, width

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence


@dataclass(frozen=True, slots=True)
class Piece:
    """A drawable text, its style, and what a click on it means (``None``: nothing)."""

    text: str
    style: str = ""
    key: Hashable | None = None


def joined(pieces: Sequence[Piece], cells: int, ellipsis: str = "…") -> Content:
    """Return pieces as one line of at most ``cells`` cells."""
    texts: list[str] = []
    spans: list[Span] = []
    position = used = 0
    for piece in pieces:
        room = cells - used
        if room <= 0:
            break
        text = cut(piece.text, room, ellipsis=ellipsis)
        texts.append(text)
        if piece.style:
            spans.append(Span(position, position + len(text), piece.style))
        position += len(text)
        used += width(text)
    return Content("".join(texts), spans, strip_control_codes=False)


def spread(
    left: Sequence[Piece], right: Sequence[Piece], cells: int, ellipsis: str = "…"
) -> list[Piece]:
    """Return pieces with the right ones at the right edge; the left ones give way."""
    taken = sum(width(piece.text) for piece in right)
    room = max(0, cells - taken - (1 if right else 0))
    kept: list[Piece] = []
    used = 0
    for piece in left:
        text = cut(piece.text, room - used, ellipsis=ellipsis)
        if text:
            kept.append(Piece(text, piece.style, piece.key))
        used += width(text)
        if used >= room:
            break
    return [*kept, Piece(" " * max(0, cells - used - taken)), *right]
