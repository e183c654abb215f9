"""Find futures and states in nested inputs, and put their values in.

Looked through: list, tuple, set, frozenset, dict (keys and values), OrderedDict, dataclass
instances, pydantic models, to any depth. Left alone: named tuples, other subclasses of the
containers, other objects, the inside of :class:`~flowdeck.annotations.quote`. Containers are
rebuilt with the same type only where something in them changed; originals stay untouched.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowdeck.annotations import Annotation, allow_failure, quote, unmapped
from flowdeck.states import State

#: Most arguments are one of these; nothing can be inside.
ATOMIC = frozenset(
    {int, str, float, bool, type(None), bytes, complex, range, type, type(len), type(lambda: 0)}
)
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_MAPPINGS = frozenset({dict, OrderedDict})


def is_future(value: object) -> bool:
    """Say whether ``value`` is a task future (without importing the module that defines it)."""
    return getattr(type(value), "_is_flowdeck_future", False) is True


def materialise(parameters: dict[str, Any]) -> dict[str, Any]:
    """Replace generators and iterators by lists, once, so that no later look at them eats items."""
    for name, value in parameters.items():
        if type(value) not in ATOMIC and isinstance(value, Iterator):
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
    found: list[tuple[Any, bool]] = []
    _find(value, False, found, set())
    return found


def _find(value: Any, failure_allowed: bool, found: list[tuple[Any, bool]], seen: set[int]) -> None:
    kind = type(value)
    if kind in ATOMIC:
        return
    if is_future(value) or isinstance(value, State):
        found.append((value, failure_allowed))
        return
    if isinstance(value, Annotation):
        if not isinstance(value, quote):
            allowed = failure_allowed or isinstance(value, allow_failure)
            _find(value.value, allowed, found, seen)
        return
    children = _children(value)
    if children is None or id(value) in seen:
        return
    seen.add(id(value))
    for child in children:
        if type(child) not in ATOMIC:
            _find(child, failure_allowed, found, seen)
    seen.discard(id(value))


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
    return _replace(value, put, unwrap, {})


def _replace(value: Any, put: Callable[[Any], Any], unwrap: bool, active: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in ATOMIC:
        return value
    if is_future(value) or isinstance(value, State):
        return put(value)
    if isinstance(value, Annotation):
        return _replace_annotation(value, put, unwrap, active)
    if id(value) in active:  # a container that holds itself
        return value
    if kind in _SEQUENCES:
        return _replace_sequence(value, put, unwrap, active)
    if kind in _MAPPINGS:
        return _replace_mapping(value, put, unwrap, active)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        return _replace_fields(value, names, put, unwrap, active)
    if _is_model(value):
        return _replace_fields(value, list(value.__dict__), put, unwrap, active)
    return value


def _replace_annotation(
    value: Annotation[Any], put: Callable[[Any], Any], unwrap: bool, active: dict[int, Any]
) -> Any:
    if isinstance(value, quote):
        return value.value if unwrap else value
    inner = _replace(value.value, put, unwrap, active)
    if unwrap:
        return inner
    return value if inner is value.value else value.rewrap(inner)


def _replace_sequence(
    value: Any, put: Callable[[Any], Any], unwrap: bool, active: dict[int, Any]
) -> Any:
    active[id(value)] = value
    changed = False
    items = []
    for item in value:
        new = item if type(item) in ATOMIC else _replace(item, put, unwrap, active)
        changed = changed or new is not item
        items.append(new)
    del active[id(value)]
    return type(value)(items) if changed else value


def _replace_mapping(
    value: Any, put: Callable[[Any], Any], unwrap: bool, active: dict[int, Any]
) -> Any:
    active[id(value)] = value
    changed = False
    items = []
    for key, item in value.items():
        new_key = _replace(key, put, unwrap, active)
        new = _replace(item, put, unwrap, active)
        changed = changed or new is not item or new_key is not key
        items.append((new_key, new))
    del active[id(value)]
    return type(value)(items) if changed else value


def _replace_fields(
    value: Any, names: list[str], put: Callable[[Any], Any], unwrap: bool, active: dict[int, Any]
) -> Any:
    active[id(value)] = value
    changes = {}
    for name in names:
        old = getattr(value, name, None)
        new = _replace(old, put, unwrap, active)
        if new is not old:
            changes[name] = new
    del active[id(value)]
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
    if isinstance(value, unmapped):
        return True
    if isinstance(value, (str, bytes, bytearray)) or hasattr(value, "readline"):
        return True
    return not hasattr(value, "__iter__")
