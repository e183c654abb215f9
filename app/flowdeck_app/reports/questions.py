"""Questions of runs as text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flowdeck_app.drawing import times
from flowdeck_app.drawing.cells import cut
from flowdeck_app.drawing.signs import SIGNS, Kind
from flowdeck_app.drawing.tables import TextColumn, table
from flowdeck_store.safe import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowdeck_app.drawing.look import Look
    from flowdeck_app.drawing.tables import Row
    from flowdeck_store.questions import Question

_COLUMNS = (
    TextColumn("Run"),
    TextColumn("Name", least=10, middle=True),
    TextColumn("Key", least=8),
    TextColumn("Question", least=16),
    TextColumn("Answer", least=8),
    TextColumn("Default", least=4),
    TextColumn("Asked"),
    TextColumn("Until", least=5),
)


def question_table(questions: Sequence[Question], look: Look) -> list[str]:
    """Return a heading and one line a question."""
    rows: list[Row] = [
        [
            question.ref,
            question.run_name,
            (question.key, "bold"),
            question.text,
            question.expected,
            value_text(question.default) if question.has_default else "",
            times.calendar(question.us, look.now_us, dash=look.dash),
            times.calendar(question.due_us, look.now_us, dash="") if question.due_us else "",
        ]
        for question in questions
    ]
    return table(_COLUMNS, rows, look)


def value_text(value: object) -> str:
    """Return an answer or a default as somebody would type it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def waiting_line(question: Question, look: Look, *, room: int | None = None) -> str:
    """Return one line that says what a run asks and how it is answered."""
    sign = look.symbols.of(Kind.PAUSED)
    value = question.choices[0] if question.form == "pause" else "VALUE"
    command = f"flowdeck answer {question.ref} {question.key} {value}"
    said = f"{sign} waits for you: {one_line(question.text, 300)} ({one_line(question.expected)})"
    if room is not None:
        said = cut(said, max(20, room - len(command) - 2), ellipsis=look.ellipsis)
    return f"{look.paint(said, SIGNS[Kind.PAUSED].style)}  {look.paint(command, 'dim')}"


def asked_and_answered(question: Question, look: Look) -> str:
    """Return one line that says what was asked, and what came of it."""
    asked = f"{question.ref}  {one_line(question.key, 80)}  {one_line(question.text, 300)}"
    if question.how is None:
        return f"{asked}  {look.paint('open', SIGNS[Kind.PAUSED].style)}"
    if question.how == "withdrawn":
        return f"{asked}  {look.paint('not answered', 'dim')}"
    by = f"by {one_line(question.by, 100)}" if question.by else "the default, nobody answered"
    value = "" if question.form == "pause" else one_line(value_text(question.answer), 300)
    return f"{asked}  {look.paint(value, 'bold')}  {look.paint(by, 'dim')}"
