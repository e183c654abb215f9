"""A sweep as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck_app.drawing import states
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_app.views.sweeps import figure_text, value_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_app.views.sweeps import SweepRow, SweepTable
    from flowdeck_store.read.causes import Cause


def sweep_lines(
    sweep: SweepTable, rows: Sequence[SweepRow], causes: dict[int, Cause], look: Look
) -> list[str]:
    """Return a heading and one line a run.

    Args:
        sweep: what the columns are.
        rows: those to show, in order.
        causes: what runs failed of, by number.
        look: what the place can show.
    """
    columns = [TextColumn("Run", right=True)]
    columns += [TextColumn(name, right=True, least=4) for name in sweep.parameters]
    columns += [TextColumn("State"), TextColumn("Time", right=True)]
    columns += [TextColumn(name, right=True, least=5) for name in sweep.figures]
    columns += [TextColumn("Cause", least=8)]
    shown: list[Row] = [
        [
            str(row.run.id),
            *((value_text(row.parameters.get(name)), "bold") for name in sweep.parameters),
            states.name_cell(row.run.code, row.run.named, look),
            look.duration_of(row.run),
            *(figure_text(row.figures.get(name)) for name in sweep.figures),
            causes[row.run.id].headline if row.run.id in causes else "",
        ]
        for row in rows
    ]
    return table(columns, shown, look)


def sweep_json(run: dict[str, Any], sweep: SweepTable, row: SweepRow) -> dict[str, Any]:
    """Return a run of a sweep as ``--json`` has it."""
    chosen = {name: row.parameters.get(name) for name in sweep.parameters}
    return {**run, "sweep": sweep.name, "combination": chosen, "figures": row.figures}
