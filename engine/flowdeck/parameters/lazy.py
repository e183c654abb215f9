"""Annotations whose values pydantic would check only while they are iterated over.

For ``Iterable[int]`` and its like pydantic hands out a one-shot iterator: the second loop over it
finds nothing, and a bad item is found in the middle of the function. What can be iterated over again
is checked at once here and stays what it is.
"""

from __future__ import annotations

import collections
import collections.abc
import itertools
import typing
from operator import is_
from typing import Annotated, Any, Final, Literal

from flowdeck.inputs.given import MAX_DRAWN

_LAZY: Final = frozenset(
    {collections.abc.Iterable, collections.abc.Iterator, collections.abc.Generator}
)
#: Kinds of containers that are made anew when items of them were converted; others become lists.
_MADE_ANEW: Final = frozenset({tuple, set, frozenset, collections.deque})


def eager(annotation: Any) -> Any:
    """Return the annotation with everything lazy in it, at any depth, checked at once."""
    origin = typing.get_origin(annotation) or annotation
    args = typing.get_args(annotation)
    if isinstance(origin, type) and origin in _LAZY:
        return Annotated[Any, _Items(eager(args[0]) if args else Any)]
    if not args or origin is Literal or origin is collections.abc.Callable:
        return annotation
    if origin is Annotated:
        inner = eager(args[0])
        return annotation if inner is args[0] else Annotated[(inner, *annotation.__metadata__)]
    changed = tuple(eager(each) for each in args)
    if all(map(is_, changed, args)):
        return annotation
    return typing.Union[changed] if _is_union(origin) else origin[changed]  # noqa: UP007


def _is_union(origin: Any) -> bool:
    from types import UnionType

    return origin is typing.Union or origin is UnionType


class _Items:
    """What pydantic is told about an iterable whose items have an annotation."""

    def __init__(self, item: Any) -> None:
        self._item = item

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        items = handler.generate_schema(list[self._item])  # type: ignore[name-defined]
        return core_schema.no_info_wrap_validator_function(_checked, items)


def _checked(value: Any, check: Any) -> Any:
    """Check the items of an iterable with ``check``, which takes a list."""
    try:
        iterator = iter(value)
    except TypeError:
        return check(value)  # says so
    if iterator is value:
        return value  # items that are looked at are gone
    items = list(itertools.islice(iterator, MAX_DRAWN + 1))
    if len(items) > MAX_DRAWN:
        return value  # maybe without end
    found = check(items)
    if all(map(is_, found, items)):
        return value
    kind = type(value)
    return kind(found) if kind in _MADE_ANEW else found
