"""How long a flow would take on each task runner, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.drawing.times import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_app.views.what_if import Expected
    from flowdeck_store.explain.what_if import RunPlan

_COLUMNS = (
    TextColumn("Runner", least=10),
    TextColumn("At once", right=True),
    TextColumn("Expected", right=True),
    TextColumn("From", right=True),
    TextColumn("To", right=True),
    TextColumn("Sure", least=8),
    TextColumn("Because of", least=12),
)


def forecast_lines(
    name: str, plans: Sequence[RunPlan], rows: Sequence[Expected], least: float | None, look: Look
) -> list[str]:
    """Return what it is made from, one line a runner, and what is not taken into account."""
    sizes = sorted(len(plan.calls) for plan in plans)
    many = str(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    runs = f"{len(plans)} completed run{'s' if len(plans) > 1 else ''}"
    head = f"{name}: from {runs} of {many} task run{'' if many == '1' else 's'}"
    cells: list[Row] = [
        [
            (row.runner, "bold"),
            "all" if row.workers is None else str(row.workers),
            duration(row.seconds),
            duration(row.low),
            duration(row.high),
            row.sure,
            because(row),
        ]
        for row in rows
    ]
    lines = [head, "", *table(_COLUMNS, cells, look)]
    if least is not None:
        lines += ["", f"At least {duration(least)}, whatever the number of workers."]
    notes: dict[str, list[str]] = {}
    for row in rows:
        for note in row.notes:
            notes.setdefault(note, []).append(row.runner)
    lines += [f"{', '.join(named)}: {note}." for note, named in notes.items()]
    return lines


def because(row: Expected) -> str:
    """Return what an expectation rests on: ``5 runs on it``, ``3 runs played again``."""
    runs = f"{row.runs} run{'s' if row.runs > 1 else ''}"
    return f"{runs} on it" if row.on_it else f"{runs} played again"
