"""What notebooks show of states, futures and runs: a little HTML, in which every text is escaped.

No classes, scripts or links: a notebook is sent around, and what stands in it came from anybody. The
colours are readable on light and dark backgrounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_store.safe import several

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Characters of a cell.
_MOST: Final = 2_000
_COLOURS: Final = {
    "COMPLETED": "#2e9e5b",
    "FAILED": "#d64545",
    "CRASHED": "#d64545",
    "CANCELLED": "#8a8f98",
    "CANCELLING": "#8a8f98",
    "RUNNING": "#2f7fd1",
    "PAUSED": "#c98a1b",
}
_SIGNS: Final = {
    "COMPLETED": "✓",
    "FAILED": "✗",
    "CRASHED": "!",
    "CANCELLED": "⊘",
    "CANCELLING": "⊖",
    "RUNNING": "▸",
    "PAUSED": "‖",
    "SCHEDULED": "◷",
}
_CELL: Final = 'style="text-align:left;vertical-align:top;padding:1px 12px 1px 0"'


def escaped(text: object, most: int = _MOST) -> str:
    """Return a text as HTML that shows it, without control characters and not too long."""
    import html  # `import flowdeck` must stay fast

    shown = several(str(text))
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    return html.escape(shown).replace("\n", "<br>")


def badge(name: str, kind: str) -> str:
    """Return a state's sign and name.

    Args:
        name: ``TimedOut``.
        kind: the value of its type: ``FAILED``.
    """
    colour, sign = _COLOURS.get(kind, "#8a8f98"), _SIGNS.get(kind, "◌")
    return f'<b style="color:{colour}">{sign} {escaped(name, 100)}</b>'


def facts(head: str, rows: Iterable[tuple[str, object]]) -> str:
    """Return a heading and a line for each fact; facts without a text are left out.

    Args:
        head: HTML, made of the parts here.
        rows: names and texts.
    """
    lines = "".join(
        f'<tr><td {_CELL}><span style="opacity:.65">{escaped(name, 100)}</span></td>'
        f"<td {_CELL}>{escaped(text)}</td></tr>"
        for name, text in rows
        if text not in (None, "")
    )
    return f"<div>{head}</div>" + (f"<table>{lines}</table>" if lines else "")


def table(names: Sequence[str], rows: Iterable[Sequence[str]], more: int = 0) -> str:
    """Return a table.

    Args:
        names: of the columns.
        rows: cells as HTML, made of the parts here.
        more: how many rows are left out.
    """
    head = "".join(f"<th {_CELL}>{escaped(name, 100)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td {_CELL}>{cell}</td>" for cell in row) + "</tr>" for row in rows
    )
    rest = f'<div style="opacity:.65">… and {more:,} more</div>' if more else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"
