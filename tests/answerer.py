"""Somebody who answers what runs ask, from a thread, as the app and ``flowdeck answer`` do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from flowdeck.exceptions import AnswerRefused
from flowdeck.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowdeck.record import RecordedQuestion


class Answerer:
    """Answers each question once, by its key.

    Args:
        home: of the record.
        answers: by key; a list: the second after the first was refused.
    """

    def __init__(self, home: Path, answers: dict[str, Any]) -> None:
        self._home, self._answers = home, answers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.states: dict[str, str] = {}  # of the run while its question was open
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _main(self) -> None:
        with Record(self._home) as record:
            while not self._over.wait(0.02):
                for run in record.runs("", subflows=True):
                    for question in run.questions if run.ended is None else []:
                        if question.is_open and question.key in self._answers:
                            self._answer(record, question)

    def _answer(self, record: Record, question: RecordedQuestion) -> None:
        where = record.task(question.ref) if "." in question.ref else record.run(question.ref)
        self.states.setdefault(question.key, where.state)
        answers = self._answers[question.key]
        for value in answers if isinstance(answers, list) else [answers]:
            try:
                question.answer(value)
            except AnswerRefused as error:
                self.refused.append(str(error))


def asked(home: Path, until: Callable[[list[RecordedQuestion]], bool] = bool) -> Any:
    """Wait until questions are open, and return them."""
    deadline = time.monotonic() + 30
    with Record(home) as record:
        while time.monotonic() < deadline:
            found = [q for run in record.runs("") for q in run.questions if q.is_open]
            if until(found):
                return found
            time.sleep(0.01)
    raise AssertionError("nothing was asked")
