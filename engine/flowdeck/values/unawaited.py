"""Calls of ours that must be awaited: each carries the name of what was called, so that Python's own
warning names it, and one that turns up where a value is expected is refused.

A forgotten ``await`` is otherwise found far from where it is missing, if at all: the task gets a
coroutine as its argument, or a dependency is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flowdeck.exceptions import UnawaitedCall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import CodeType, CoroutineType

F = TypeVar("F", bound="Callable[..., Any]")
R = TypeVar("R")

_ours: set[CodeType] = set()


def to_be_awaited(function: F) -> F:
    """Mark an async function whose coroutine users get; to be given a name with :func:`named`."""
    _ours.add(function.__code__)
    return function


def named(coroutine: Coroutine[Any, Any, R], call: str) -> Coroutine[Any, Any, R]:
    """Return the coroutine, called like what the user wrote: ``load.submit``."""
    coroutine.__qualname__ = call  # type: ignore[attr-defined]
    return coroutine


def refuse_unawaited(coroutine: CoroutineType[Any, Any, Any]) -> None:
    """Refuse a coroutine of ours; those of users are values like any other.

    Raises:
        UnawaitedCall: it is one.
    """
    if coroutine.cr_code not in _ours:
        return
    call = coroutine.__qualname__
    coroutine.close()  # else Python warns of it in addition
    raise UnawaitedCall(
        f"The call {call}(...) was not awaited, so there is no result yet: write "
        f"`await {call}(...)`."
    )
