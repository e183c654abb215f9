"""Arguments as they are when they are given.

A task run may start long after its submission, on another thread or machine. What was submitted
must be what it was then, on every runner: so iterators are drawn at the call, and containers are
copied (they alone, not the data in them). The copies are only ever read: each run gets one of its
own when it starts, so no run sees what another one does to its arguments.
"""

from __future__ import annotations

import itertools
from operator import is_
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from flowdeck.annotations import Annotation
from flowdeck.inputs import nested
from flowdeck.values.previews import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Iterators that are only a way to write a list.
_ITERATORS: Final = frozenset(
    {
        GeneratorType, map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())),
        type(reversed([])), type(iter({})), type(iter({}.values())), type(iter({}.items())),
        type(iter(set())), type(iter(range(0))), itertools.accumulate, itertools.chain,
        itertools.combinations, itertools.compress, itertools.dropwhile, itertools.filterfalse,
        itertools.islice, itertools.pairwise, itertools.permutations, itertools.product,
        itertools.starmap, itertools.takewhile, itertools.zip_longest,
    }
)  # fmt: skip
#: Items that are drawn from an iterator: more are taken for an endless one.
MAX_DRAWN: Final = 1_000_000
#: Containers of so many items, or with so many containers in them, are worth sharing.
_LARGE: Final = 1000
#: Copies of large containers that are kept to be shared.
_SHARED: Final = 16


class Undrawn:
    """Stands for an iterator that raised, or has no end in sight: the run that it was for fails."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"<iterator: {type(self.error).__name__}>"


def draw(parameters: dict[str, Any], starred: Iterable[str] = ()) -> bool:
    """Replace generators and the iterators of built-in functions by lists, once, so that no later
    look at them eats items. Other iterators (files, cursors) stay.

    Args:
        parameters: by name.
        starred: the names of ``*args`` and ``**kwargs``, of which each item is an argument.

    Returns:
        Whether all could be; in place of one that could not be there is an :class:`Undrawn`.
    """
    good = True
    for name, value in parameters.items():
        kind = type(value)
        if kind in _ITERATORS:
            try:
                parameters[name] = drawn(name, value)
            except Exception as error:
                parameters[name] = Undrawn(error)
                good = False
        elif kind is Undrawn:
            good = False
    for name in starred:
        value = parameters.get(name)
        try:
            if type(value) is tuple:
                parameters[name] = tuple([drawn(name, item) for item in value])
            elif type(value) is dict:
                parameters[name] = {key: drawn(key, item) for key, item in value.items()}
        except Exception as error:
            parameters[name] = Undrawn(error)
            good = False
    return good


def drawn(name: str, value: Any) -> Any:
    """Return the list of the items of an iterator that is only a way to write one; all else as it
    is.

    Raises:
        ValueError: it has more than :data:`MAX_DRAWN` items.
        Exception: what drawing the items raised.
    """
    if type(value) not in _ITERATORS:
        return value
    items = list(itertools.islice(value, MAX_DRAWN + 1))
    if len(items) > MAX_DRAWN:
        raise ValueError(
            f"Argument {name!r} is a {type_name(value)} that gave more than {MAX_DRAWN:,} items, perhaps "
            "without end. Pass a list, or what the task needs to make the items itself."
        )
    return items


def check_drawn(parameters: dict[str, Any]) -> None:
    """Refuse arguments that could not be drawn.

    Raises:
        Exception: why one could not.
    """
    for value in parameters.values():
        if type(value) is Undrawn:
            raise value.error


class Snapshots:
    """Takes the arguments of the submissions of one flow run as they are.

    A large container that is submitted again and again unchanged is copied once: 10,000 waiting
    runs must not hold 10,000 copies of it.

    Args:
        copied: told of each original and its copy, if anybody wants to recognise them.
    """

    def __init__(self, copied: Callable[[list[tuple[Any, Any]]], object] | None = None) -> None:
        self._copied = copied
        #: By identity of the original: its copy. Whether the original is (still) this one is told
        #: by the identity of what is in it.
        self._large: dict[int, Any] = {}

    def as_they_are(
        self, parameters: dict[str, Any], starred: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Put what arguments are now in their places, unless nothing can change.

        Args:
            parameters: by name.
            starred: see :func:`draw`.
        """
        if nested.needs_look(parameters):
            draw(parameters, starred)
            take: nested.Snapshot | None = None
            for name, value in parameters.items():
                kind = type(value)
                if kind not in nested.ATOMIC and not nested.is_result(kind):
                    take = take or nested.Snapshot()
                    parameters[name] = self._copy(value, take)
            if take is not None and self._copied is not None:
                self._copied(take.copies())
        return parameters

    def _copy(self, value: Any, take: nested.Snapshot) -> Any:
        taken = take.taken(value)  # another argument holds it
        if taken is not None:
            return taken
        known = self._large.get(id(value))
        if known is not None and _is_unchanged(value, known):
            take.use(value, known)
            return known
        copied = take(value)
        if copied is not value and _is_large(copied):
            while len(self._large) >= _SHARED:
                self._large.pop(next(iter(self._large)), None)
            self._large[id(value)] = copied
        return copied

    def forget(self) -> None:
        """Let go of what is kept to be shared."""
        if self._large:
            self._large = {}


def _is_large(value: Any) -> bool:
    stack, count, seen = [value], 0, set()
    while stack:
        item = stack.pop()
        if issubclass(type(item), Annotation):
            stack.append(item.value)
        elif type(item) in nested.CONTAINERS and id(item) not in seen:
            seen.add(id(item))
            count += len(item) + 1
            if count >= _LARGE:
                return True
            stack += item.values() if isinstance(item, dict) else item
    return False


def _is_unchanged(value: Any, copied: Any) -> bool:
    """Say whether a container is what it was when it was copied. In doubt it is not."""
    stack, seen = [(value, copied)], set()
    while stack:
        one, other = stack.pop()
        if one is other or id(one) in seen:
            continue
        seen.add(id(one))
        kind = type(one)
        if kind is not type(other):
            return False
        if issubclass(kind, Annotation):
            stack.append((one.value, other.value))
            continue
        if kind not in _ORDERED or len(one) != len(other):
            return False
        if kind in _MAPPINGS:
            if not all(map(is_, one, other)):
                return False
            one, other = one.values(), other.values()
        if not all(map(is_, one, other)):
            stack += zip(one, other, strict=True)
    return True


_MAPPINGS: Final = nested.MAPPINGS
_ORDERED: Final = frozenset({list, tuple}) | _MAPPINGS
