"""Answers of people on their way to the code that waits for them: the third kind of request.

A question is open in the process whose code asks, which may be a worker far away; the answer comes to
the flow's process, which knows neither the question nor where its code is. So an answer is looked for
here by the token of its question, and, if it is not this process that asks, handed to the task runners
of all live runs, who pass it on to every worker they have: there it is looked for again.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck_store.record.answers import GivenAnswer
    from flowdeck_store.record.control import ControlRequest


#: Of a request that is an answer.
VERB: Final = "answer"


class Awaited:
    """A question whose code waits in this process.

    Args:
        token: of the question.
    """

    def __init__(self, token: str) -> None:
        self.token = token
        self.came = threading.Event()
        #: Called when something has come, on the thread that brought it; for event loops.
        self.wake: Callable[[], object] | None = None
        self._answers: deque[GivenAnswer] = deque()

    def put(self, answer: GivenAnswer) -> None:
        """Bring an answer."""
        self._answers.append(answer)
        self.came.set()
        wake = self.wake
        if wake is not None:
            wake()

    def take(self) -> GivenAnswer | None:
        """Return the next answer, ``None`` if none is there."""
        self.came.clear()
        return self._answers.popleft() if self._answers else None

    def __enter__(self) -> Self:
        _awaited[self.token] = self
        return self

    def __exit__(self, *_: object) -> None:
        _awaited.pop(self.token, None)


#: By token.
_awaited: dict[str, Awaited] = {}


def bring(request: ControlRequest, live: Iterable[Any]) -> None:
    """Bring the answer in a request to the code that waits for it.

    Args:
        request: from the store.
        live: the flow runs of this process, whose runners pass it on if nobody waits here.
    """
    from flowdeck_store.record.answers import given

    answer = given(request)
    if answer is not None:
        _deliver(answer, live)


def _deliver(answer: GivenAnswer, live: Iterable[Any]) -> None:
    found = _awaited.get(answer.token)
    if found is not None:
        found.put(answer)
        return
    packed = pickle.dumps(answer)
    for runner in {id(run.runner): run.runner for run in live}.values():
        runner.pass_answer(packed)


def token_of(packed: bytes) -> str:
    """Return the token of the question that a packed answer is for."""
    answer: GivenAnswer = pickle.loads(packed)
    return answer.token


def nobody(question: str) -> bytes:
    """Return what a worker is told whose question goes where nobody can answer it.

    Args:
        question: the data of the artifact that asks.
    """
    from flowdeck_store.questions import token_of as token_in
    from flowdeck_store.record.answers import NOBODY, GivenAnswer

    return pickle.dumps(GivenAnswer(NOBODY, token_in(question) or "", False, None, None))


def arrive(packed: bytes) -> None:
    """In a worker: bring an answer that the flow's process has passed on."""
    _deliver(pickle.loads(packed), ())
