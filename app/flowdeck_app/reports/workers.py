"""The workers of a run as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing import amounts
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.views.workers import doing, kept, trend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_app.views.workers import RunWorker

_TREND = 12
_COLUMNS = (
    TextColumn("Worker", least=14, middle=True),
    TextColumn("CPU", right=True),
    TextColumn("", least=0),
    TextColumn("Memory", right=True),
    TextColumn("", least=0),
    TextColumn("Stored", right=True, least=6),
    TextColumn("Ended", right=True),
    TextColumn("Runs now", least=8),
)


def worker_table(workers: Sequence[RunWorker], dashboard: str | None, look: Look) -> list[str]:
    """Return a heading, one line a worker, and where the cluster's own pages are."""
    is_told = any(one.stored[0] is not None for one in workers)  # else the column is left out
    rows: list[Row] = [
        [
            (one.shown, "bold"),
            look.dash if one.cpu is None else f"{one.cpu:.0f}%",
            trend([sample.cpu for sample in one.samples], look, _TREND),
            amounts.size(one.memory, look.dash),
            trend([sample.memory for sample in one.samples], look, _TREND),
            kept(one, look) if is_told else "",
            str(one.ended),
            doing(one, look),
        ]
        for one in workers
    ]
    lines = table(_COLUMNS, rows, look)
    return lines if dashboard is None else [*lines, f"dashboard: {dashboard}"]
