"""``ask`` and ``pause``: code that waits for a person.

The wait is looked at five times a second rather than slept through: what stops a function that
executes on a thread (a cancel, a time limit) is an exception that lands between two of its bytecodes,
and a thread that waits for a lock executes none.
"""

from __future__ import annotations

import contextlib
import functools
import math
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from flowdeck.questions.words import MISSING, key_of
from flowdeck.runs import waiting
from flowdeck.threads import active
from flowdeck_store import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowdeck.parameters.answers import AnswerType
    from flowdeck.questions.posing import Posed

T = TypeVar("T")

#: Seconds between two looks of a thread that waits, of a loop, and at an engine that does not bring
#: answers.
_SLICE: Final = 0.2
_SLICE_OF_LOOP: Final = 1.0
_LOOK: Final = 1.0

_prepared: ContextVar[Mapping[str, Any] | None] = ContextVar("flowdeck_answers", default=None)


@overload
def ask(
    question: str,
    type: type[T],
    *,
    default: T = ...,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> T: ...
@overload
def ask(
    question: str,
    *,
    default: str = ...,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> str: ...
@overload
def ask(
    question: str,
    type: Any,
    *,
    default: Any = ...,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> Any: ...
def ask(
    question: str,
    type: Any = str,  # noqa: A002
    *,
    default: Any = MISSING,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> Any:
    """Ask a person, and wait for the answer; the run is *Paused* meanwhile.

    It is answered with ``flowdeck answer RUN VALUE``, in the app, on the terminal of ``flowdeck run``
    or by :meth:`flowdeck.record.questions.RecordedQuestion.answer`. In async code use
    :func:`ask_async`.

    Args:
        question: what to ask.
        type: what the answer is to be: ``bool``, ``str``, ``int``, ``float``, a ``Literal``, an enum or
            a pydantic model (then the answer is JSON). An answer that does not fit is refused.
        default: the answer if nobody gives one within ``timeout_seconds``.
        timeout_seconds: how long to wait; ``None``: as long as it takes.
        key: what the question is called in its run, for whoever answers by command; default: its
            first words.

    Raises:
        TimeoutError: nobody answered in time, and there is no default.
        TypeError: pydantic cannot check anything against the type.
        RuntimeError: there is no run that asks, nobody can answer (no record), or an event loop runs
            in this thread.

    Example:
        >>> ask("Deploy to prod?", bool, default=False, timeout_seconds=3600)  # doctest: +SKIP
        True
    """
    return _ask(question, _answer_type(type), default, timeout_seconds, key)


async def ask_async(
    question: str,
    type: Any = str,  # noqa: A002
    *,
    default: Any = MISSING,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> Any:
    """As :func:`ask`, for async code: the event loop goes on meanwhile."""
    return await _ask_async(question, _answer_type(type), default, timeout_seconds, key)


def pause(
    message: str = "Paused: goes on when you say so.",
    *,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> None:
    """Wait until a person says that it goes on: ``flowdeck answer RUN continue``.

    Args:
        message: what to tell whoever is asked.
        timeout_seconds: how long to wait; then it goes on by itself. ``None``: as long as it takes.
        key: as of :func:`ask`.

    Raises:
        RuntimeError: as :func:`ask`.
    """
    default = MISSING if timeout_seconds is None else None
    _ask(message, None, default, timeout_seconds, key or "pause")


async def pause_async(
    message: str = "Paused: goes on when you say so.",
    *,
    timeout_seconds: float | None = None,
    key: str | None = None,
) -> None:
    """As :func:`pause`, for async code: the event loop goes on meanwhile."""
    default = MISSING if timeout_seconds is None else None
    await _ask_async(message, None, default, timeout_seconds, key or "pause")


@contextlib.contextmanager
def answering(answers: Mapping[str, Any]) -> Iterator[None]:
    """Answer inside of the block, without asking anybody: for tests.

    Args:
        answers: values by the key of the question; ``"*"`` answers all others.
    """
    token = _prepared.set(answers)
    try:
        yield
    finally:
        _prepared.reset(token)


def _ask(
    text: str, kind: AnswerType | None, default: Any, seconds: float | None, key: str | None
) -> Any:
    if active.running_loop() is not None:
        name = "pause" if kind is None else "ask"
        raise RuntimeError(
            f"{name}() would block the event loop of this thread: write `await {name}_async(...)`."
        )
    found = _without_asking(text, kind, default, seconds, key)
    if found is not MISSING:
        return found
    with _posed(text, kind, default, seconds, key) as posed, waiting.slot_free():
        return _wait(posed, _due(seconds))


async def _ask_async(
    text: str, kind: AnswerType | None, default: Any, seconds: float | None, key: str | None
) -> Any:
    found = _without_asking(text, kind, default, seconds, key)
    if found is not MISSING:
        return found
    with _posed(text, kind, default, seconds, key) as posed, waiting.slot_free(awaits=True):
        return await _wait_async(posed, _due(seconds))


def _answer_type(annotation: Any) -> AnswerType:
    from flowdeck.parameters.answers import AnswerType  # `import flowdeck` must stay fast

    return AnswerType(annotation)


def _posed(
    text: str, kind: AnswerType | None, default: Any, seconds: float | None, key: str | None
) -> Posed:
    from flowdeck.questions.posing import Posed

    return Posed(active.current_run(), text, kind, default, seconds, key)


def _due(seconds: float | None) -> float:
    return math.inf if seconds is None else clock.monotonic() + seconds


def _without_asking(
    text: str, kind: AnswerType | None, default: Any, seconds: float | None, key: str | None
) -> Any:
    """Return an answer that is there without asking, :data:`MISSING` if somebody is to be asked."""
    if seconds is not None and not 0 < seconds < math.inf:
        raise ValueError(f"timeout_seconds must be more than 0, not {seconds!r}.")
    name = key or (key_of(text) if kind is not None else "pause")
    prepared = _prepared.get()
    if prepared is not None:
        answer = prepared.get(name, prepared.get("*", MISSING))
        if answer is not MISSING:
            if kind is None:
                return None
            value, problem = kind.read(answer, is_text=isinstance(answer, str))
            if problem is not None:
                raise ValueError(f"The answer prepared for {name!r} does not fit: {problem}")
            return value
    run = active.current_run()
    if run is not None and run.recorder.is_answered:
        return MISSING
    if default is not MISSING:
        return default
    why = "it is asked outside of a flow run" if run is None else "the flow run is not recorded"
    raise RuntimeError(
        f"Nobody can answer {text!r}: {why}. Call it in a flow, give it a default, or, in a test, "
        f"answer it: `with flowdeck.testing.answering({{{name!r}: ...}}):`."
    )


def _wait(posed: Posed, due: float) -> Any:
    awaited, look_at = posed.awaited, clock.monotonic() + _LOOK
    while True:
        answer = awaited.take()
        if answer is not None:
            if posed.take(answer):
                return posed.value
            continue
        left = due - clock.monotonic()
        if left <= 0:
            return posed.time_is_up()
        if not awaited.came.wait(min(left, _SLICE)) and clock.monotonic() >= look_at:
            _look(posed)
            look_at = clock.monotonic() + _LOOK


async def _wait_async(posed: Posed, due: float) -> Any:
    import asyncio

    awaited, loop = posed.awaited, asyncio.get_running_loop()
    came = asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(came.set)

    awaited.wake = wake
    while True:
        came.clear()
        answer = awaited.take()
        if answer is not None:
            if posed.take(answer):
                return posed.value
            continue
        left = due - clock.monotonic()
        if left <= 0:
            return posed.time_is_up()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(came.wait(), min(left, _SLICE_OF_LOOP))
            continue
        await loop.run_in_executor(None, functools.partial(_look, posed))


def _look(posed: Posed) -> None:
    """Ask the engine for an answer, if it is one that does not bring any."""
    found = posed.run.recorder.answer_to(posed.awaited.token)
    if found is not None:
        from flowdeck.stopping.answers import arrive

        arrive(found)
