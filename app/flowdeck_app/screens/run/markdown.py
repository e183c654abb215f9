"""A run as Markdown, to paste into an issue or a chat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from flowdeck_app.drawing.times import duration, full
from flowdeck_store.safe import one_line
from flowdeck_store.states import BUCKETS

if TYPE_CHECKING:
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.read.records import FlowRunRecord

#: Failed task runs that are listed.
MOST: Final = 10


def run_markdown(reader: Reader, run: FlowRunRecord, now_us: int) -> str:
    """Return state, counts, parameters and the first failed task runs of a run."""
    end = run.ended_us or now_us
    took = None if run.started_us is None else (end - run.started_us) / 1e6
    counts = ", ".join(
        f"{count} {name.replace('_', ' ')}"
        for name, count in zip(BUCKETS, run.counts, strict=True)
        if count
    )
    facts = (
        ("state", run.state + (f": {run.message}" if run.message else "")),
        ("run", f"{run.name} (#{run.id})"),
        ("runner", run.runner or ""),
        ("started", full(run.started_us) if run.started_us else ""),
        ("time", duration(took)),
        ("tasks", counts),
        ("tags", ", ".join(run.tags)),
        *(("note", note.text) for note in run.notes),
    )
    lines = [f"### Run of `{code(run.flow)}`", ""]
    lines += [f"- {name}: `{code(value)}`" for name, value in facts if value]
    lines += ["", "```json", _parameters(run.params), "```"]
    failed = reader.tasks(run.id, "state:failed,crashed", limit=MOST)
    if failed:
        lines += ["", "Failed:", ""]
        lines += [
            f"- `{code(task.label)}`: `{code(task.message or task.state)}`" for task in failed
        ]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return a text that stays within one pair of backticks."""
    return one_line(text, 300).replace("`", "'")


def _parameters(text: str | None) -> str:
    try:
        return json.dumps(json.loads(text or "{}"), indent=2)
    except ValueError:
        return json.dumps(one_line(text or "", 2000))
