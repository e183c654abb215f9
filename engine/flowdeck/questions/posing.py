"""One question from being asked to its end: what is recorded of it, and which state its run is in.

The run is *Paused* as long as any of its questions is open: a flow may ask several at once, from
threads or from an event loop.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

from flowdeck.logging import INFO, WARNING, line
from flowdeck.questions.words import MISSING, key_of
from flowdeck.states import Paused, Running
from flowdeck.stopping.answers import Awaited
from flowdeck.threads.undisturbed import undisturbed
from flowdeck.values.jsonable import dump_object
from flowdeck.values.redaction import concealed, names_in_force
from flowdeck_store import questions
from flowdeck_store.events import now_us
from flowdeck_store.questions import BY_DEFAULT, BY_PERSON, MAX_KEY, MAX_TEXT, WITHDRAWN
from flowdeck_store.record.answers import NOBODY

if TYPE_CHECKING:
    from flowdeck.parameters.answers import AnswerType
    from flowdeck.states import State
    from flowdeck_store.record.answers import GivenAnswer

#: Characters of an answer that is recorded.
_ANSWER: Final = 10_000
#: Seconds in which the store is to give a run its number, which is part of the command that answers.
_NUMBERED: Final = 0.2

#: How many questions of a run are open, by uid of the flow run and number.
_open: Counter[tuple[str, int]] = Counter()
_keys: dict[tuple[str, int], set[str]] = {}
_lock = threading.Lock()


class Posed:
    """A question that is open; a context manager.

    Args:
        run: whose code asks.
        text: the question.
        kind: what an answer is to be; ``None``: that it goes on is all.
        default: the answer if nobody gives one, :data:`MISSING` for none.
        seconds: how long it is waited for.
        key: what it is called; ``None``: its first words.
    """

    def __init__(
        self,
        run: Any,
        text: str,
        kind: AnswerType | None,
        default: Any,
        seconds: float | None,
        key: str | None,
    ) -> None:
        self.run = run
        self.awaited = Awaited(uuid.uuid4().hex[:16])
        self.text = concealed(text)[:MAX_TEXT]
        self._kind, self._default, self._seconds = kind, default, seconds
        self._place = run.info.uid, run.no
        self._wanted_key = (key or key_of(text))[:MAX_KEY]
        self.key = self._wanted_key
        self._end: tuple[str, Any, str | None] = WITHDRAWN, None, None

    def __enter__(self) -> Self:
        with _lock:
            taken = _keys.setdefault(self._place, set())
            number = 2
            while self.key in taken:
                self.key = f"{self._wanted_key}-{number}"
                number += 1
            taken.add(self.key)
            _open[self._place] += 1
            is_first = _open[self._place] == 1
        try:
            self.awaited.__enter__()
            self._ask(is_first)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.awaited.__exit__()
        how, value, by = self._end
        shown = None if how == WITHDRAWN else self._shown(value)
        event = questions.answered(*self._place, self.awaited.token, how, shown, by)
        self.run.recorder.emit_artifact(event)
        with _lock:
            _keys[self._place].discard(self.key)
            _open[self._place] -= 1
            is_last = not _open[self._place]
            if is_last:
                del _open[self._place], _keys[self._place]
        if is_last and how != WITHDRAWN:
            self._enter(Running())

    def _ask(self, is_first: bool) -> None:
        kind = self._kind
        data: dict[str, Any] = {
            "token": self.awaited.token, "key": self.key, "text": self.text,
            "form": "pause" if kind is None else kind.form,
        }  # fmt: skip
        if kind is None:
            data["choices"] = [questions.GO_ON]
        elif kind.choices:
            data["choices"] = list(kind.choices)
        if kind is not None and kind.schema:
            data["schema"] = kind.schema
        if self._default is not MISSING:
            data["default"] = self._shown(self._default)
        if self._seconds is not None:
            data["due_us"] = now_us() + int(self._seconds * 1e6)
        self.run.recorder.emit_artifact(questions.asked(*self._place, data))
        if is_first:
            self._enter(Paused(message=self.text))
        line(self.run, INFO, f"Waits for an answer: {self.text} {self._how_to_answer()}")

    def _how_to_answer(self) -> str:
        number = undisturbed(_number_of, self.run)
        where = "RUN" if number is None else f"{number}.{self.run.no}" if self.run.no else number
        value = questions.GO_ON if self._kind is None else "VALUE"
        return f"(`flowdeck answer {where} {value}`, or in the app)"

    def take(self, answer: GivenAnswer) -> bool:
        """Say whether an answer fits; if not, the record says why, and the question stays open."""
        if answer.request == NOBODY:
            self._give_up()
            return True
        if self._kind is None:
            value: Any = None
            problem = None
            if str(answer.value).strip().lower() not in {questions.GO_ON, "yes", "y", "true"}:
                problem = f"say `{questions.GO_ON}` to let it go on"
        else:
            value, problem = self._kind.read(answer.value, is_text=answer.is_text)
        if problem is None:
            self._end = BY_PERSON, value, answer.by
            said = "was told to go on" if self._kind is None else "was answered"
            line(self.run, INFO, f"It {said} by {answer.by or 'somebody'}: {self.text}")
            return True
        problem = concealed(problem)[:MAX_TEXT]
        event = questions.refused(*self._place, self.awaited.token, answer.request, problem)
        self.run.recorder.emit_artifact(event)
        line(self.run, WARNING, f"An answer does not fit: {problem}")
        return False

    def _give_up(self) -> None:
        """Nobody can answer: take the default.

        Raises:
            RuntimeError: there is none.
        """
        if self._default is MISSING:
            raise RuntimeError(
                f"Nobody can answer {self.text!r}: the flow run is not recorded. Give it a default."
            )
        self._end = BY_DEFAULT, self._default, None

    @property
    def value(self) -> Any:
        """The answer, once one was taken."""
        return self._end[1]

    def time_is_up(self) -> Any:
        """Return the default.

        Raises:
            TimeoutError: there is none.
        """
        if self._default is MISSING:
            raise TimeoutError(
                f"Nobody answered within {self._seconds:g} s: {self.text} Give ask() a default, or "
                "more time."
            )
        self._end = BY_DEFAULT, self._default, None
        what = "it goes on" if self._kind is None else "the default is taken"
        line(self.run, WARNING, f"Nobody answered in time, so {what}: {self.text}")
        return self._default

    def _shown(self, value: Any) -> Any:
        """Return what is recorded of a value: as JSON can hold it, without what is secret."""
        return json.loads(dump_object({self.key: value}, _ANSWER, names_in_force()))[self.key]

    def _enter(self, state: State[Any]) -> None:
        run = self.run
        if not run.no:
            run.enter_unless_stopping(state)
        elif not run.cancel_requested:
            run.enter(state)


def _number_of(run: Any) -> int | None:
    recorder, uid = run.recorder, run.info.uid
    if recorder.run_number(uid) is None:
        recorder.flush(_NUMBERED)
    number: int | None = recorder.run_number(uid)
    return number
