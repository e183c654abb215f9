"""A run while it goes on, in a few lines that are drawn again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.text import states, times
from flowdeck_app.text.logs import log_lines
from flowdeck_app.text.runs import seconds, title
from flowdeck_app.text.safe import one_line
from flowdeck_app.views.text import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.text.look import Look
    from flowdeck_store.records import FlowRunRecord, LogRecord, TaskRunRecord

BAR = 40


def progress(
    run: FlowRunRecord,
    running: Sequence[TaskRunRecord],
    logs: Sequence[tuple[LogRecord, str]],
    look: Look,
) -> list[str]:
    """Return the run's state, a bar, counts per state, what runs longest, and the last log lines.

    Args:
        run: the run as it stands.
        running: task runs that execute, the longest first.
        logs: the last log lines with who said them.
        look: what the place can show; its width must be known.
    """
    width = look.width or 80
    said = [title(run, look)]
    if run.n_tasks:
        done = states.ended(run.counts)
        share = f"{done}/{run.n_tasks}  {100 * done // run.n_tasks}%"
        bar = states.bar(run.counts, max(10, min(BAR, width - len(share) - 4)), look)
        said += [f"  {bar}  {share}", f"  {states.counts(run.counts, look)}"]
    for task in running:
        took = times.duration(seconds(task, look), look.dash)
        name = cut(one_line(task.name, 500), max(10, width - len(took) - 8), ellipsis=look.ellipsis)
        said.append(f"    {states.glyph(task.code, task.named, look)} {name}  {took}")
    plain = look.plain()
    for record, speaker in logs:
        line = cut(log_lines(record, speaker, plain)[0], width - 2, ellipsis=look.ellipsis)
        said.append(f"  {look.paint(line, 'dim')}")
    return said
