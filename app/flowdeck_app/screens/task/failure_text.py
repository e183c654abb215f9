"""A failure as text to paste: Python's own shape, or Markdown for an issue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.drawing.look import Look
from flowdeck_app.drawing.times import duration, full
from flowdeck_app.reports import failures
from flowdeck_app.screens.task.failure_rows import headline
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowdeck_store.read.records import FailureRecord, FlowRunRecord, TaskRunRecord

#: Characters of a text that an issue can take.
MOST: Final = 50_000


def traceback_text(exception: Mapping[str, Any], now_us: int, *, every_frame: bool = True) -> str:
    """Return a captured exception as text, without colours."""
    return "\n".join(failures.traceback(exception, Look(now_us), every_frame=every_frame))


def markdown(
    task: TaskRunRecord,
    run: FlowRunRecord,
    failure: FailureRecord | None,
    parameters: Mapping[str, str],
    now_us: int,
) -> str:
    """Return a failed task run as Markdown for an issue.

    Args:
        task: the task run.
        run: its flow run.
        failure: what was recorded of its failure.
        parameters: bounded reprs of its inputs.
        now_us: the time now.
    """
    what = task.message or task.state
    if failure is not None and failure.exception is not None:
        what = headline(failure.exception)
    lines = [f"### `{_code(task.label)}` failed: {_plain(what)}", ""]
    lines += [f"- {name}: `{_code(value)}`" for name, value in _facts(task, run) if value]
    if parameters:
        lines += ["", "Inputs:", ""]
        lines += [f"- `{_code(name)}` = `{_code(value)}`" for name, value in parameters.items()]
    if failure is not None and failure.exception is not None:
        text = traceback_text(failure.exception, now_us)[:MOST]
        fence = _fence(text)
        lines += ["", f"Attempt {failure.attempt}:", "", f"{fence}pytb", text, fence]
    return "\n".join(lines) + "\n"


def _facts(task: TaskRunRecord, run: FlowRunRecord) -> list[tuple[str, str]]:
    return [
        ("flow", run.flow),
        ("run", f"{run.name} (#{run.id})"),
        ("task run", f"{task.ref}"),
        ("attempt", f"{task.attempt} of {task.retries + 1}"),
        ("time", duration(task.duration) if task.duration is not None else ""),
        ("when", full(task.ended_us) if task.ended_us else ""),
        ("runner", run.runner or ""),
        ("python", str(run.info.get("python") or "")),
        ("flowdeck", str(run.info.get("version") or "")),
    ]


def _code(text: str) -> str:
    """Return a text that stays within one pair of backticks."""
    return one_line(text, 300).replace("`", "'")


def _plain(text: str) -> str:
    """Return a text in which Markdown and HTML mean nothing."""
    line = one_line(text, 300)
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|~" else char for char in line)


def _fence(text: str) -> str:
    """Return a fence longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence
