"""Answering questions of runs: a request to the process of the run, which looks at the answer.

Only that process knows what the question wants (a model's class, say), so whoever answers waits a
moment for its verdict: the answer is taken, or the question stays open and it is said why.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck_store.questions import MAX_ANSWER
from flowdeck_store.record import control

if TYPE_CHECKING:
    from pathlib import Path

    from flowdeck_store.questions import Question
    from flowdeck_store.read.reader import Reader
    from flowdeck_store.record.control import ControlRequest

#: Seconds that a process gets to look at an answer; requests are looked for five times a second.
PATIENCE: Final = 10.0
_POLL: Final = 0.05
#: In place of a request's number: nobody can answer, as nothing is recorded.
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer on its way to whoever asks."""

    request: int
    token: str
    is_text: bool  # as somebody typed it; else a JSON value
    value: Any
    by: str | None


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """What came of an answer: taken, refused (then ``problem`` says why), or too late."""

    question: Question
    problem: str | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the question was answered by a person."""
        return self.problem is None and self.question.how == "answered"


def give(
    home: Path, question: Question, value: Any, *, is_text: bool = True, by: str | None = None
) -> ControlRequest:
    """Answer a question.

    Args:
        home: the folder of the store.
        question: as it was read.
        value: what was typed, or a value as JSON has it.
        is_text: whether it was typed: then it may mean what it reads as (``yes``, ``12``).
        by: who answers, for the record.

    Returns:
        The request, for :func:`verdict`.

    Raises:
        ValueError: the answer is too long, or JSON cannot hold it.
        NotFound: there is no such run.
        StoreBusy, StoreCorrupt, StoreTooNew, sqlite3.Error: it cannot be written.
    """
    try:
        content = json.dumps({"token": question.token, "text" if is_text else "value": value})
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the answer cannot be written as JSON: {error}") from None
    if len(content) > MAX_ANSWER:
        raise ValueError(f"an answer has at most {MAX_ANSWER:,} characters")
    return control.request(
        home, question.run_id, control.ANSWER, question.task_no, by=by, content=content
    )


def given(request: ControlRequest) -> GivenAnswer | None:
    """Return the answer in a request; ``None``: there is none in it."""
    try:
        data = json.loads(request.content)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("token"), str):
        return None
    is_text = isinstance(data.get("text"), str)
    value = data["text"] if is_text else data.get("value")
    return GivenAnswer(request.id, data["token"], is_text, value, request.by)


def verdict(
    reader: Reader, question: Question, request: ControlRequest, seconds: float = PATIENCE
) -> AnswerVerdict | None:
    """Wait for what the process of a run says to an answer.

    Args:
        reader: of the store.
        question: the question.
        request: what :func:`give` returned.
        seconds: to wait.

    Returns:
        ``None``: it has not said anything yet; the answer stays where the process will find it.
    """
    until = time.monotonic() + seconds
    while True:
        problem = reader.refusal(question.run_id, question.task_no, request.id)
        if problem is not None:
            return AnswerVerdict(question, problem)
        now = reader.question(question.run_id, question.token)
        if now is None or now.how is not None:
            return AnswerVerdict(now or question)
        if time.monotonic() >= until:
            return None
        time.sleep(_POLL)
