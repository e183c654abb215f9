"""Find futures and states in nested inputs, and put their values in.

Looked through: list, tuple, set, frozenset, dict (keys and values), OrderedDict, dataclass
instances, pydantic models, to any depth. Left alone: named tuples, other subclasses of the
containers, other objects, the inside of :class:`~flowdeck.annotations.quote`. Containers are
rebuilt with the same type only where something in them changed; originals stay untouched.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections import OrderedDict
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from flowdeck.annotations import Annotation, allow_failure, quote, unmapped
from flowdeck.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Most arguments are one of these; nothing can be inside.
ATOMIC = frozenset(
    {int, str, float, bool, type(None), bytes, complex, range, type, type(len), type(lambda: 0)}
)
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_MAPPINGS = frozenset({dict, OrderedDict})
#: Iterators that are only a way to write a list.
_ITERATORS = frozenset(
    {
        GeneratorType, map, filter, zip, enumerate, reversed, type(iter([])), type(iter(())),
        type(reversed([])), type(iter({})), type(iter({}.values())), type(iter({}.items())),
        type(iter(set())), type(iter(range(0))), itertools.accumulate, itertools.chain,
        itertools.combinations, itertools.compress, itertools.dropwhile, itertools.filterfalse,
        itertools.islice, itertools.pairwise, itertools.permutations, itertools.product,
        itertools.starmap, itertools.takewhile, itertools.zip_longest,
    }
)  # fmt: skip


def is_future(value: object) -> bool:
    """Say whether ``value`` is a task future (without importing the module that defines it)."""
    return getattr(type(value), "_is_flowdeck_future", False) is True


def materialise(parameters: dict[str, Any]) -> dict[str, Any]:
    """Replace generators and the iterators of built-in functions by lists, once, so that no later
    look at them eats items. Other iterators (files, cursors, endless ones) stay."""
    for name, value in parameters.items():
        if type(value) in _ITERATORS:
            parameters[name] = list(value)
    return parameters


def needs_look(parameters: Mapping[str, Any]) -> bool:
    """Say whether any value could hold a future at all: the fast way out for most calls."""
    atomic = ATOMIC
    for value in parameters.values():
        if type(value) not in atomic:
            return True
    return False


def find(value: Any) -> list[tuple[Any, bool]]:
    """Return the futures and states inside ``value``, each with whether its failure is allowed."""
    atomic = ATOMIC
    found: list[tuple[Any, bool]] = []
    seen: dict[tuple[int, bool], Any] = {}  # holds what it has seen, so that no id is used twice
    stack = [(value, False)]
    while stack:
        item, allowed = stack.pop()
        if type(item) in atomic:
            continue
        if is_future(item) or isinstance(item, State):
            found.append((item, allowed))
        elif isinstance(item, Annotation):
            if not isinstance(item, quote):
                stack.append((item.value, allowed or isinstance(item, allow_failure)))
        elif (id(item), allowed) not in seen:
            seen[id(item), allowed] = item
            children = _children(item) or ()
            stack += [(child, allowed) for child in children if type(child) not in atomic][::-1]
    return found


def _children(value: Any) -> Any:
    """Return what to look through in ``value``; ``None`` if it is opaque."""
    kind = type(value)
    if kind in _SEQUENCES:
        return value
    if kind in _MAPPINGS:
        return [*value.keys(), *value.values()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name, None) for f in dataclasses.fields(value)]
    if _is_model(value):
        return list(value.__dict__.values())
    return None


def _is_model(value: Any) -> bool:
    return hasattr(type(value), "__pydantic_fields__")


def replace(value: Any, put: Callable[[Any], Any], *, unwrap: bool = True) -> Any:
    """Return ``value`` with each future and state replaced by ``put(it)``.

    Args:
        value: nested data.
        put: called with each future or state.
        unwrap: also remove ``unmapped``/``allow_failure``/``quote`` marks (the inside of a
            ``quote`` stays as it is).
    """
    try:
        return _replace(value, put, unwrap, {})
    except RecursionError:
        if _anything_to_replace(value):
            raise
        return value  # deep, but only data


def _anything_to_replace(value: Any) -> bool:
    stack, seen = [value], {}
    while stack:
        item = stack.pop()
        if is_future(item) or isinstance(item, (State, Annotation)):
            return True
        if id(item) not in seen:
            seen[id(item)] = item
            stack += [child for child in _children(item) or () if type(child) not in ATOMIC]
    return False


#: What was looked at already, by identity: the object (so that it keeps its identity) and what
#: takes its place. A container that is met inside itself stays as it is.
_Memo = dict[int, tuple[Any, Any]]


def _replace(value: Any, put: Callable[[Any], Any], unwrap: bool, memo: _Memo) -> Any:
    kind = type(value)
    if kind in ATOMIC:
        return value
    if is_future(value) or isinstance(value, State):
        return put(value)
    if isinstance(value, Annotation):
        return _replace_annotation(value, put, unwrap, memo)
    known = memo.get(id(value))
    if known is not None:
        return known[1]
    rebuild = _rebuilder(value)
    if rebuild is None:
        return value
    memo[id(value)] = (value, value)
    new = rebuild(value, put, unwrap, memo)
    memo[id(value)] = (value, new)
    return new


def _rebuilder(value: Any) -> Callable[..., Any] | None:
    """Return how to look through ``value``; ``None`` if it is opaque."""
    kind = type(value)
    if kind in _SEQUENCES:
        return _replace_sequence
    if kind in _MAPPINGS:
        return _replace_mapping
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _replace_dataclass
    return _replace_model if _is_model(value) else None


def _replace_annotation(
    value: Annotation[Any], put: Callable[[Any], Any], unwrap: bool, memo: _Memo
) -> Any:
    if isinstance(value, quote):
        return value.value if unwrap else value
    inner = _replace(value.value, put, unwrap, memo)
    if unwrap:
        return inner
    return value if inner is value.value else value.rewrap(inner)


def _replace_sequence(value: Any, put: Callable[[Any], Any], unwrap: bool, memo: _Memo) -> Any:
    changed = False
    items = []
    for item in value:
        new = item if type(item) in ATOMIC else _replace(item, put, unwrap, memo)
        changed = changed or new is not item
        items.append(new)
    return type(value)(items) if changed else value


def _replace_mapping(value: Any, put: Callable[[Any], Any], unwrap: bool, memo: _Memo) -> Any:
    changed = False
    items = []
    for key, item in value.items():
        new_key = _replace(key, put, unwrap, memo)
        new = _replace(item, put, unwrap, memo)
        changed = changed or new is not item or new_key is not key
        items.append((new_key, new))
    return type(value)(items) if changed else value


def _replace_dataclass(value: Any, put: Callable[[Any], Any], unwrap: bool, memo: _Memo) -> Any:
    return _replace_fields(value, [f.name for f in dataclasses.fields(value)], put, unwrap, memo)


def _replace_model(value: Any, put: Callable[[Any], Any], unwrap: bool, memo: _Memo) -> Any:
    return _replace_fields(value, list(value.__dict__), put, unwrap, memo)


def _replace_fields(
    value: Any, names: list[str], put: Callable[[Any], Any], unwrap: bool, memo: _Memo
) -> Any:
    changes = {}
    for name in names:
        old = getattr(value, name, None)
        new = _replace(old, put, unwrap, memo)
        if new is not old:
            changes[name] = new
    if not changes:
        return value
    # A shallow copy, not dataclasses.replace: fields with init=False and validation that runs in
    # __post_init__ must not stand in the way of putting a value in.
    clone = copy.copy(value)
    for name, new in changes.items():
        object.__setattr__(clone, name, new)
    return clone


def is_static_for_map(value: Any) -> bool:
    """Say whether `.map` passes the value whole: ``unmapped``, text, bytes, files, no iterable."""
    if isinstance(value, (unmapped, str, bytes, bytearray)) or hasattr(value, "readline"):
        return True
    try:
        iter(value)
    except TypeError:  # also of arrays without dimensions, which have the method
        return True
    return False
