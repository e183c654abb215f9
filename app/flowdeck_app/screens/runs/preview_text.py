"""The preview below the history: the run under the cursor in a few lines. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content, Span

from flowdeck_app.drawing.amounts import number
from flowdeck_app.drawing.cells import clean, cut
from flowdeck_app.drawing.signs import SIGNS, kind_of
from flowdeck_app.views.comparison import parameters_of
from flowdeck_store.read import causes
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from flowdeck_app.drawing.look import Look
    from flowdeck_store.read.records import FailureRecord, FlowRunRecord, TaskRunRecord

#: Bucket names in the words of states, for the task counts.
_SHOWN = ("completed", "cached", "running", "pending", "scheduled", "failed", "crashed",
          "cancelled", "not_ready")  # fmt: skip
_CODES = {"scheduled": 0, "pending": 1, "running": 2, "completed": 3, "failed": 4, "crashed": 5,
          "cancelled": 7, "cached": 3, "not_ready": 1}  # fmt: skip
_NAMES = {"cached": "Cached", "not_ready": "NotReady"}


@dataclass(frozen=True, slots=True)
class PreviewFacts:
    """What is shown of one run."""

    run: FlowRunRecord
    task: TaskRunRecord | None  # the first that failed
    failure: FailureRecord | None
    same_parameters: bool | None  # as in the last completed run; None: there is none


def preview_lines(preview: PreviewFacts, cells: int, look: Look) -> list[Content]:
    """Return the lines, each at most ``cells`` wide."""
    lines = [*_failure(preview, cells, look), _parameters(preview, cells, look)]
    lines.append(_counts(preview.run, look))
    return lines


def _labelled(label: str, text: str, cells: int, style: str = "") -> Content:
    shown = cut(f"{label:<10}{text}", cells)
    return Content(
        shown, [Span(0, min(10, len(shown)), "$fd-muted"), Span(10, len(shown), style)],
        strip_control_codes=False,
    )  # fmt: skip


def _failure(preview: PreviewFacts, cells: int, look: Look) -> list[Content]:
    plain = look.symbols.ascii
    run = preview.run
    if preview.failure is None:
        text = clean(causes.plain(run.message) or run.state, 500, newline=" ", ascii_only=plain)
        return [_labelled("state", text, cells)]
    kind = preview.failure.exc_type.rpartition(".")[2]
    message = clean(f"{kind}: {preview.failure.exc_msg}", 500, newline=" ", ascii_only=plain)
    where = clean(
        preview.task.label if preview.task else run.flow, 100, newline=" ", ascii_only=plain
    )
    return [_labelled("failed", f"{where}   {message}", cells, SIGNS[kind_of(4, None)].style)]


def _parameters(preview: PreviewFacts, cells: int, look: Look) -> Content:
    found = parameters_of(preview.run)
    text = " ".join(f"{name}={json.dumps(value)}" for name, value in found.items()) or "none"
    note = ""
    if preview.same_parameters is not None:
        note = "as in" if preview.same_parameters else "not as in"
        note = f"   {note} the last completed run"
    return _labelled("params", clean(text, 500, ascii_only=look.symbols.ascii) + note, cells)


def _counts(run: FlowRunRecord, look: Look) -> Content:
    counts = dict(zip(BUCKETS, run.counts, strict=True))
    text = f"{'tasks':<10}"
    spans = [Span(0, 10, "$fd-muted")]
    for name in _SHOWN:
        if not counts[name]:
            continue
        kind = kind_of(_CODES[name], _NAMES.get(name))
        start = len(text)
        text += f"{look.symbols.of(kind)} {number(counts[name], look.symbols.group)}  "
        spans.append(Span(start, start + 1, SIGNS[kind].style))
    if not run.n_tasks:
        text += "none"
    return Content(text.rstrip(), spans, strip_control_codes=False)
