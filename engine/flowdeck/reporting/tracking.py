"""``for item in track(items)``: the progress of a loop, without a line in its body."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from flowdeck.reporting.progress import pace_of_current_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

    from flowdeck.reporting.progress import Pace

T = TypeVar("T")


class _Loop:
    """One pass over the items; inside of another tracked loop of the same run it says nothing."""

    __slots__ = ("__weakref__", "_message", "_pace", "_total", "done")

    def __init__(self, total: float | None, message: str | None) -> None:
        self._total, self._message = total, message
        self.done = 0
        pace = pace_of_current_run()
        self._pace: Pace | None = pace if pace is not None and pace.claim(self) else None
        self.say()

    def say(self) -> None:
        if self._pace is not None:
            self._pace.say(self.done, self._total, self._message)

    def end(self) -> None:
        if self._pace is not None:
            self._pace.release(self)


class Tracked(Generic[T]):
    """Items that are counted while they are iterated over."""

    def __init__(self, items: Iterable[T], total: float | None, message: str | None) -> None:
        self._items, self._total, self._message = items, total, message

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[T]:
        loop = _Loop(self._total, self._message)
        try:
            for item in self._items:
                yield item
                loop.done += 1
                loop.say()
        finally:
            loop.end()


class AsyncTracked(Generic[T]):
    """Items of an async iterable that are counted while they are iterated over."""

    def __init__(self, items: AsyncIterable[T], total: float | None, message: str | None) -> None:
        self._items, self._total, self._message = items, total, message

    async def __aiter__(self) -> AsyncIterator[T]:
        loop = _Loop(self._total, self._message)
        try:
            async for item in self._items:
                yield item
                loop.done += 1
                loop.say()
        finally:
            loop.end()


@overload
def track(
    items: Iterable[T], total: float | None = None, message: str | None = None
) -> Tracked[T]: ...
@overload
def track(
    items: AsyncIterable[T], total: float | None = None, message: str | None = None
) -> AsyncTracked[T]: ...
def track(items: Any, total: float | None = None, message: str | None = None) -> Any:
    """Iterate over items and tell how many are done, in a task or flow; elsewhere just iterate.

    Of tracked loops inside of each other the outermost one tells. A loop that is left early leaves
    its progress where it was.

    Args:
        items: an iterable or an async iterable.
        total: how many there are; by default their length, if they have one.
        message: what is done with them, in a few words.

    Raises:
        TypeError: they cannot be iterated over.

    Example:
        >>> [2 * item for item in track([1, 2, 3])]
        [2, 4, 6]
    """
    if total is None:
        hint = operator.length_hint(items, -1)
        total = None if hint < 0 else hint
    if hasattr(type(items), "__aiter__"):
        return AsyncTracked(items, total, message)
    iter_of = getattr(type(items), "__iter__", None) or getattr(type(items), "__getitem__", None)
    if iter_of is None:
        raise TypeError(f"track() needs something to iterate over, not a {type(items).__name__}.")
    return Tracked(items, total, message)
