"""A result as rows of a panel: what it is, where it is kept, and what it looks like. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.views.facts import PanelRow, heading, result_rows
from flowdeck_app.views.outlines import outline_lines

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.outlines import Outline
    from flowdeck_store.read.records import ResultRecord


def result_panel(
    result: ResultRecord | None, outline: Outline | None, look: Look
) -> list[PanelRow]:
    """Return type, size and place of a result, and the value: as table, array or tree where the
    record knows what it looks like, else its text.

    ``enter`` on a line of the value shows its text.
    """
    rows = result_rows(result, look)
    if result is None or outline is None:
        return rows
    facts = [row for row in rows if isinstance(row.key, tuple) and row.key[0] == "fact"]
    text = result.preview or ""
    title = "Value" if text else ""
    lines = [
        PanelRow(("value", place), line, text, title)
        for place, line in enumerate(outline_lines(outline, look))
    ]
    return [*facts, heading("Value"), *lines]
