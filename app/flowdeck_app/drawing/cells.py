"""Untrusted text made safe to draw, and fitted into cells.

Nothing here knows markup: what comes in as ``"[/foo]"`` goes out as ``"[/foo]"``. Control
characters become visible, bidirectional overrides cannot re-order a row, lengths are measured in
terminal cells.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from rich.cells import cell_len, get_character_cell_size, set_cell_size

#: What a cell of a table shows: a text and a style (``""``: the row's own).
Cell: TypeAlias = tuple[str, str]
#: Characters of a text that are ever drawn; the rest is cut before any work is done on it.
DRAWN: Final = 4096
TAB: Final = 4

_CONTROL: Final[dict[int, str]] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},  # control pictures: one cell each
    0x7F: "␡",
    **dict.fromkeys(range(128, 160), "�"),
    # bidirectional marks, embeddings, overrides and isolates would re-order the cells of a row;
    # joiners and variation selectors make the width of a cluster differ between terminals
    **dict.fromkeys((0xAD, 0x61C, 0xFEFF, 0xFE0E, 0xFE0F, *range(0x200B, 0x2010)), ""),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), ""),
    **dict.fromkeys((0x2028, 0x2029), "⏎"),
}
_CONTROL_ASCII: Final[dict[int, str]] = {
    code: (drawn if drawn == "" else "?") for code, drawn in _CONTROL.items()
}
_UNSAFE: Final = re.compile(
    "[" + "".join(re.escape(chr(code)) for code in _CONTROL) + "\ud800-\udfff]"
)


def clean(text: str, limit: int = DRAWN, *, newline: str = "⏎", ascii_only: bool = False) -> str:
    """Return ``text`` as one drawable line.

    Args:
        text: anything, however long.
        limit: characters kept.
        newline: what a line break is shown as.
        ascii_only: show control characters as ``?`` instead of control pictures.
    """
    if len(text) > limit:
        text = text[:limit]
    if _UNSAFE.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\n", newline)
    if "\t" in text:
        text = text.expandtabs(TAB)
    text = text.translate(_CONTROL_ASCII if ascii_only else _CONTROL)
    return "".join("�" if "\ud800" <= char <= "\udfff" else char for char in text)


def clean_lines(text: str, limit: int = DRAWN, most: int = 200) -> list[str]:
    """Return the drawable lines of a text.

    Args:
        text: anything, however long.
        limit: characters kept of a line.
        most: lines kept.
    """
    lines = text[: limit * most].split("\n", most)[:most]
    return [clean(line.rstrip("\r"), limit) for line in lines]


def width(text: str) -> int:
    """Return the number of terminal cells of a drawable text."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Return ``text`` in exactly ``cells`` cells: padded, or cut with an ellipsis at the end.

    Args:
        text: drawable, see :func:`clean`.
        cells: of the terminal; a wide character has two.
        ellipsis: what stands for what was cut, one cell (or empty: nothing does).
    """
    if text.isascii():
        length = len(text)
        if length <= cells:
            return text + " " * (cells - length)
        return text[: cells - len(ellipsis)] + ellipsis if cells > 0 else ""
    length = cell_len(text)
    if length <= cells:
        return text + " " * (cells - length)
    return set_cell_size(text, cells - len(ellipsis)) + ellipsis if cells > 0 else ""


def fit_right(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Like :func:`fit`, with the padding on the left: for numbers."""
    length = width(text)
    return " " * (cells - length) + text if length <= cells else fit(text, cells, ellipsis=ellipsis)


def at_least(text: str, cells: int) -> str:
    """Return ``text`` padded to ``cells`` cells, uncut where it has more."""
    return text + " " * (cells - width(text))


def cut(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Return ``text`` in at most ``cells`` cells, not padded."""
    return text if width(text) <= cells else fit(text, cells, ellipsis=ellipsis)


def fit_middle(text: str, cells: int, *, ellipsis: str = "…") -> str:
    """Return ``text`` in exactly ``cells`` cells, cut in the middle: ``fetch_invo…es[3]``."""
    length = width(text)
    if length <= cells:
        return text + " " * (cells - length)
    if cells < 5:
        return fit(text, cells, ellipsis=ellipsis)
    tail = (cells - 1) * 2 // 5
    head = cells - 1 - tail
    kept = text[: _index_at(text, head)] + ellipsis + _last_cells(text, tail)
    return kept + " " * (cells - width(kept))  # half a wide character leaves its hole at the end


def _last_cells(text: str, cells: int) -> str:
    """Return the last characters of a text that fit in ``cells`` cells."""
    if text.isascii():
        return text[-cells:] if cells else ""
    used, start = 0, len(text)
    while start > 0:
        size = get_character_cell_size(text[start - 1])
        if used + size > cells:
            break
        used += size
        start -= 1
    return text[start:]


def wrap_cells(text: str, cells: int) -> list[str]:
    """Split a drawable line into pieces of at most ``cells`` cells, at spaces where possible."""
    if width(text) <= cells or cells < 2:
        return [text]
    pieces: list[str] = []
    while width(text) > cells:
        end = _index_at(text, cells)
        space = text.rfind(" ", end // 2, end + 1)
        if space > 0:
            end = space + 1 if space < end else space
        pieces.append(text[:end])
        text = text[end:]
    return [*pieces, text] if text else pieces


def _index_at(text: str, cells: int) -> int:
    """Return how many characters fit in ``cells`` cells (at least one)."""
    if text.isascii():
        return cells
    used = 0
    for index, char in enumerate(text):
        used += get_character_cell_size(char)
        if used > cells:
            return max(1, index)
    return len(text)
