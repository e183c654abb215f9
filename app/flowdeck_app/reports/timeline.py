"""The timeline of a run as lines of the command line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.times import duration
from flowdeck_app.reports.contents import as_text
from flowdeck_app.views.critical_path import MARK, TRIES, shares
from flowdeck_app.views.timeline import Scale, axis_content, timeline_content
from flowdeck_store.times import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.views.timeline import Bar
    from flowdeck_store.explain.critical_path import CriticalPath
    from flowdeck_store.read.summaries import TimelineRow

#: Cells of a line where nothing limits them; of names and of notes.
_WIDE = 120
_NAMES = 28
_NOTES = 16
_LEAST = 20
_NOTHING = "No task run is in it: there is nothing to draw."


def timeline(
    bars: Sequence[Bar],
    path: CriticalPath,
    on_path: frozenset[int | str],
    left_out: int,
    look: Look,
) -> list[str]:
    """Return axis, one line a bar, and what the marks mean.

    Args:
        bars: what to draw.
        path: of the run, for its start and end.
        on_path: the keys of the bars that are on the critical path: they are marked.
        left_out: how many bars there are besides.
        look: clock, signs, width.
    """
    if not bars:
        return [_NOTHING]
    cells = max(_LEAST, (look.width or _WIDE) - _NAMES - _NOTES - 2)
    scale = Scale(path.start_us, max(1.0, path.total_us / cells))
    mark = look.paint(MARK, "$fd-retrying")
    lines = [f"  {as_text(axis_content(scale, look, _NAMES, cells, path.start_us), look)}"]
    for bar in bars:
        drawn = as_text(timeline_content(bar, look, scale, _NAMES, cells, _NOTES), look)
        lines.append(f"{mark if bar.key in on_path else ' '} {drawn}")
    if left_out:
        lines.append(f"  {look.ellipsis} {number(left_out)} more")
    return [*lines, "", *summary(path, look)]


def summary(path: CriticalPath, look: Look) -> list[str]:
    """Return what the time of the critical path was spent on."""
    if not path.links:
        return []
    names = ("running", "waiting for a worker", TRIES, "the flow's own code")
    told = ", ".join(
        f"{name} {duration(us / 1e6)} ({share:.0%})"
        for name, (us, share) in zip(names, shares(path), strict=True)
        if us or name != TRIES
    )
    return [f"{MARK} the critical path, {len(path.links):,} of the task runs: {told}"]


def as_json(run_id: int, row: TimelineRow, on_path: frozenset[int]) -> dict[str, Any]:
    """Return one task run of the timeline as JSON."""
    return {
        "id": f"{run_id}.{row.no}",
        "name": row.name,
        "label": row.label,
        "state": row.state,
        "worker": row.worker,
        "on_critical_path": row.no in on_path,
        "segments": [
            {
                "kind": part.kind,
                "attempt": part.attempt,
                "start": iso(part.start_us),
                "end": iso(part.end_us),
            }
            for part in row.segments
        ],
    }
