"""A run while it goes on, in a few lines that are drawn again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowdeck_app.drawing import own_progress, states
from flowdeck_app.drawing.cells import cut
from flowdeck_app.drawing.cells import width as cells_of
from flowdeck_app.reports.logs import log_lines
from flowdeck_app.reports.questions import waiting_line
from flowdeck_app.reports.runs import title
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_store.questions import Question
    from flowdeck_store.read.records import (
        FlowRunRecord,
        LogRecord,
        ProgressRecord,
        TaskRunRecord,
    )

BAR = 40
#: Questions that are shown.
_ASKED = 3


def progress(
    run: FlowRunRecord,
    running: Sequence[TaskRunRecord],
    own: ProgressRecord | None,
    logs: Sequence[tuple[LogRecord, str]],
    look: Look,
    asks: Sequence[Question] = (),
) -> list[str]:
    """Return the run's state, a bar, counts per state, what runs longest, and the last log lines.

    Args:
        run: the run as it stands.
        running: task runs that execute, the longest first.
        own: how far the flow function says it is.
        logs: the last log lines with who said them.
        look: what the place can show; its width must be known.
        asks: the questions that wait for a person.
    """
    width = look.width or 80
    said = [title(run, look)]
    said += [f"  {waiting_line(question, look, room=width - 4)}" for question in asks[:_ASKED]]
    if len(asks) > _ASKED:
        said.append(f"  {look.ellipsis} {len(asks) - _ASKED} more: flowdeck answer {run.id}")
    if run.n_tasks:
        done = states.ended_tasks(run.counts)
        share = f"{done}/{run.n_tasks}  {100 * done // run.n_tasks}%"
        bar = states.painted_bar(run.counts, max(10, min(BAR, width - len(share) - 4)), look)
        said += [f"  {bar}  {share}", f"  {states.painted_counts(run.counts, look)}"]
    if own is not None and not run.is_final:
        said.append(f"  {own_progress.painted(own, run.started_us, look, width - 3)}")
    said += [_running(task, look, width) for task in running]
    plain = look.plain()
    for record, speaker in logs:
        line = cut(log_lines(record, speaker, plain)[0], width - 2, ellipsis=look.ellipsis)
        said.append(f"  {look.paint(line, 'dim')}")
    return said


def _running(task: TaskRunRecord, look: Look, width: int) -> str:
    """Return a task run that executes: sign, name, time, and how far it says it is."""
    took = look.duration_of(task)
    glyph = states.painted_glyph(task.code, task.named, look)
    room = max(10, width - len(took) - 8)
    if task.progress is None:
        return f"    {glyph} {cut(one_line(task.label, 500), room, ellipsis=look.ellipsis)}  {took}"
    name = cut(one_line(task.label, 500), max(10, min(room, width // 3)), ellipsis=look.ellipsis)
    rest = width - cells_of(name) - len(took) - 11
    bar = own_progress.painted(task.progress, task.started_us, look, max(0, rest))
    return f"    {glyph} {name}  {took}  {bar}"
