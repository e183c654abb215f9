"""The table of a sweep, at its end and later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowdeck_app.cli.errors import Trouble
from flowdeck_app.cli.output import echo, echo_json, say, stream_look
from flowdeck_store.states import COMPLETED

if TYPE_CHECKING:
    from flowdeck_app.views.sweeps import SweepTable
    from flowdeck_store.read.reader import Reader

#: Rows that people are shown at once.
SHOWN: Final = 50


def show_table(
    reader: Reader, sweep: SweepTable, *, sort: str = "run", limit: int | None, as_json: bool
) -> None:
    """Write the runs of a sweep.

    Args:
        reader: of the record.
        sweep: it.
        sort: a column, with ``-`` before it from above.
        limit: rows at most; 0: all; ``None``: as many as people read, with JSON all.
        as_json: one object a run.

    Raises:
        Trouble: there is no such column.
    """
    from flowdeck_app.reports.sweeps import sweep_json, sweep_lines
    from flowdeck_store.explain.json_objects import run_object

    if sort.removeprefix("-") not in sweep.columns:
        raise Trouble(
            f"sweep {sweep.name} has no column {sort.removeprefix('-')!r}.",
            f"it has {', '.join(sweep.columns)}.",
        )
    rows = sweep.by(sort)
    most = (0 if as_json else SHOWN) if limit is None else limit
    shown = rows[:most] if most else rows
    if as_json:
        echo_json(sweep_json(run_object(reader, row.run), sweep, row) for row in shown)
        return
    wrong = [row.run for row in shown if row.run.is_final and row.run.code != COMPLETED]
    echo(sweep_lines(sweep, shown, dict(reader.causes(wrong)), stream_look()))
    if len(shown) < len(rows):
        say(f"flowdeck: and {len(rows) - len(shown):,} more: --limit 0 shows all, --sort sorts.")
