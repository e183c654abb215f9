"""Questions that runs ask people, as recorded, and answering them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flowdeck.exceptions import AnswerRefused
from flowdeck.record.pieces import time_of
from flowdeck_store.read.artifacts.questions import to_json
from flowdeck_store.record.answers import PATIENCE, give, verdict
from flowdeck_store.times import at

if TYPE_CHECKING:
    from datetime import datetime

    from flowdeck.record.access import Access
    from flowdeck_store.questions import Question


class RecordedQuestion:
    """A question of a run."""

    def __init__(self, access: Access, question: Question) -> None:
        self._access, self._question = access, question

    @property
    def ref(self) -> str:
        """Who asks: ``1234`` or ``1234.17``."""
        return self._question.ref

    @property
    def key(self) -> str:
        """What it is called in its run."""
        return self._question.key

    @property
    def text(self) -> str:
        """The question."""
        return self._question.text

    @property
    def expected(self) -> str:
        """What an answer looks like: ``yes or no``, the choices, ``JSON``..."""
        return self._question.expected

    @property
    def choices(self) -> tuple[Any, ...]:
        """The answers to choose from; empty: any that fits."""
        return self._question.choices

    @property
    def asked(self) -> datetime:
        """When it was asked."""
        return time_of(self._question.us)

    @property
    def due(self) -> datetime | None:
        """When it is not waited for any more; ``None``: as long as it takes."""
        return at(self._question.due_us)

    @property
    def is_open(self) -> bool:
        """Whether it waits for an answer, as of when it was read."""
        return self._question.how is None

    @property
    def answer_given(self) -> Any:
        """The answer, as JSON has it; ``None`` without one."""
        return self._question.answer

    @property
    def answered_by(self) -> str | None:
        """Who answered."""
        return self._question.by

    def as_json(self) -> dict[str, Any]:
        """Return what ``flowdeck answer --json`` prints."""
        return to_json(self._question)

    def answer(self, value: Any = "continue", *, timeout: float = PATIENCE) -> None:
        """Answer it.

        Args:
            value: the answer; a text is read as if it was typed.
            timeout: seconds that the run's process has to look at it.

        Raises:
            AnswerRefused: the answer does not fit; or the question is not open any more.
            TimeoutError: the process has not looked at it yet; the answer waits there for it.
            ValueError: JSON cannot hold it.
            NotFound, StoreBusy, sqlite3.Error: it cannot be written.
        """
        home, asked = self._access.home, self._question
        request = give(
            home, asked, value, is_text=isinstance(value, str), by=f"a program (pid {os.getpid()})"
        )
        with self._access as reader:
            found = verdict(reader, asked, request, timeout)
        if found is None:
            raise TimeoutError(f"The process of {asked.ref} has not looked at the answer yet.")
        if not found.is_taken:
            why = found.problem or f"the question is over ({found.question.how or 'deleted'})"
            raise AnswerRefused(f"{asked.key!r} of {asked.ref} was not answered: {why}.")
        self._question = found.question

    def __repr__(self) -> str:
        state = self._question.how or "open"
        return f"<question {self.key!r} of {self.ref}: {state}>"
