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
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar

from flowdeck.annotations import Annotation, allow_failure, quote, unmapped
from flowdeck.states import State
from flowdeck.values.unawaited import refuse_unawaited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

#: Most arguments are one of these; nothing can be inside.
ATOMIC = frozenset(
    {int, str, float, bool, type(None), bytes, complex, range, type, type(len), type(lambda: 0)}
)
_SEQUENCES: frozenset[type] = frozenset({list, tuple, set, frozenset})
MAPPINGS = frozenset({dict, OrderedDict})
CONTAINERS: frozenset[type] = _SEQUENCES | MAPPINGS
_MUTABLE: frozenset[type] = frozenset({list, set})
_future_lists: frozenset[type] = frozenset()


#: Types of futures, and these with states.
_futures: tuple[type, ...] = ()
_results: tuple[type, ...] = (State,)


def stands_for_a_result(kind: type[T]) -> type[T]:
    """Enter a type of futures: objects with a ``task_run``."""
    global _futures, _results
    _futures += (kind,)
    _results += (kind,)
    return kind


def is_a_list_of_results(kind: type[T]) -> type[T]:
    """Enter a kind of list that is looked through like a list, and becomes one where its futures
    become values."""
    global _SEQUENCES, _MUTABLE, CONTAINERS, _future_lists
    _future_lists |= {kind}
    _SEQUENCES |= {kind}
    _MUTABLE |= {kind}
    CONTAINERS |= {kind}
    return kind


def is_result(kind: type) -> bool:
    """Say whether this is the type of futures or of states. Types are asked and not values: what a
    value says its class is, is code of users."""
    return issubclass(kind, _results)


def is_future(value: object) -> bool:
    """Say whether ``value`` is a task future."""
    return issubclass(type(value), _futures)


def needs_look(parameters: Mapping[str, Any]) -> bool:
    """Say whether any value could hold a future at all: the fast way out for most calls."""
    atomic = ATOMIC
    for value in parameters.values():
        if type(value) not in atomic:
            return True
    return False


def is_plain(value: Any) -> bool:
    """Say whether a value is data alone at a glance: an atom, or a flat container of atoms."""
    kind = type(value)
    if kind in ATOMIC:
        return True
    if kind is dict:
        return ATOMIC.issuperset(map(type, value)) and ATOMIC.issuperset(map(type, value.values()))
    return kind in _SEQUENCES and ATOMIC.issuperset(map(type, value))


def find(value: Any) -> list[tuple[Any, bool]]:
    """Return the futures and states inside ``value``, each with whether its failure is allowed.

    Raises:
        UnawaitedCall: it holds a call of ours that was not awaited.
    """
    if issubclass(type(value), _results):  # the most frequent of those that are looked at
        return [(value, False)]
    atomic = ATOMIC
    found: list[tuple[Any, bool]] = []
    seen: dict[tuple[int, bool], Any] = {}  # holds what it has seen, so that no id is used twice
    stack = [(value, False)]
    while stack:
        item, allowed = stack.pop()
        kind = type(item)
        if kind in atomic:
            continue
        if issubclass(kind, _results):
            found.append((item, allowed))
        elif issubclass(kind, Annotation):
            if not issubclass(kind, quote):
                stack.append((item.value, allowed or issubclass(kind, allow_failure)))
        elif (id(item), allowed) not in seen:
            seen[id(item), allowed] = item
            children = _children(item) or ()
            if not atomic.issuperset(map(type, children)):
                stack += [(child, allowed) for child in children if type(child) not in atomic][::-1]
    return found


def _children(value: Any) -> Any:
    """Return what to look through in ``value``; ``None`` if it is opaque."""
    kind = type(value)
    if kind in _SEQUENCES:
        return value
    if kind in MAPPINGS:
        return [*value.keys(), *value.values()]
    names = _fields_of(value)
    return None if names is None else [getattr(value, name, None) for name in names]


def _fields_of(value: Any) -> list[str] | None:
    """Return the names of the fields of a dataclass instance or model; ``None`` of all else."""
    kind = type(value)
    try:
        if hasattr(kind, "__dataclass_fields__"):
            return [field.name for field in dataclasses.fields(kind)]
        if hasattr(kind, "__pydantic_fields__"):
            return list(value.__dict__)
    except Exception:  # a metaclass of users
        return None
    if kind is CoroutineType:
        refuse_unawaited(value)
    return None


def replace(
    value: Any, put: Callable[[Any], Any], *, unwrap: bool = True, fresh: bool = False
) -> Any:
    """Return ``value`` with each future and state replaced by ``put(it)``.

    Args:
        value: nested data.
        put: called with each future or state.
        unwrap: also remove ``unmapped``/``allow_failure``/``quote`` marks (the inside of a
            ``quote`` stays as it is).
        fresh: make new lists, dicts and sets also of those in which nothing is replaced.

    Raises:
        UnawaitedCall: it holds a call of ours that was not awaited.
    """
    kind = type(value)
    if kind in ATOMIC:
        return value
    if issubclass(kind, _results):
        return put(value)
    try:
        return _Replacer(put, unwrap, fresh)(value)
    except RecursionError:
        if _anything_to_replace(value):
            raise
        return value  # deep, but only data


def replace_all(
    parameters: Mapping[str, Any], put: Callable[[Any], Any], *, fresh: bool = False
) -> dict[str, Any]:
    """As :func:`replace` of each parameter; a container that several of them hold stays one."""
    found = {}
    walk: _Replacer | None = None
    for name, value in parameters.items():
        kind = type(value)
        if kind in ATOMIC:
            found[name] = value
        elif issubclass(kind, _results):
            found[name] = put(value)
        else:
            walk = walk or _Replacer(put, True, fresh)
            try:
                found[name] = walk(value)
            except RecursionError:
                found[name] = replace(value, put, fresh=fresh)  # knows what to do
    return found


class Snapshot:
    """Takes values as they are now, whatever becomes of them: containers that are looked through
    are made anew, dataclass instances and models only if they hold futures; all else stays itself.

    What several of the values hold stays one thing.
    """

    __slots__ = ("_walk",)

    def __init__(self) -> None:
        self._walk = _Replacer(_itself, False, True)

    def __call__(self, value: Any) -> Any:
        """Return the value as it is now."""
        try:
            return self._walk(value)
        except RecursionError:
            return value  # what is that deep stays itself

    def taken(self, value: Any) -> Any:
        """Return what took the place of a value already, ``None`` if nothing did."""
        found = self._walk.memo.get(id(value))
        return None if found is None else found[1]

    def use(self, value: Any, copied: Any) -> None:
        """Let a copy that exists take the place of a value, also where others hold it."""
        self._walk.memo[id(value)] = value, copied

    def copies(self) -> list[tuple[Any, Any]]:
        """Return what was made anew: each original with what took its place."""
        return self._walk.replaced()


def _itself(item: Any) -> Any:
    return item


def _anything_to_replace(value: Any) -> bool:
    stack, seen = [value], {}
    while stack:
        item = stack.pop()
        kind = type(item)
        if is_result(kind) or issubclass(kind, Annotation):
            return True
        if id(item) not in seen:
            seen[id(item)] = item
            stack += [child for child in _children(item) or () if type(child) not in ATOMIC]
    return False


class _Replacer:
    """Walks through one value, see :func:`replace`."""

    __slots__ = ("_fresh", "_put", "_unwrap", "memo")

    def __init__(self, put: Callable[[Any], Any], unwrap: bool, fresh: bool) -> None:
        self._put = put
        self._unwrap = unwrap
        self._fresh = fresh
        #: What was looked at already, by identity: the object (so that it keeps its identity) and
        #: what takes its place. A container that is met inside itself stays as it is, or is the
        #: fresh one.
        self.memo: dict[int, tuple[Any, Any]] = {}

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        if kind in ATOMIC:
            return value
        if is_result(kind):
            return self._put(value)
        if issubclass(kind, Annotation):
            return self._annotation(value)
        known = self.memo.get(id(value))
        if known is not None:
            return known[1]
        if kind in _SEQUENCES:
            new = self._sequence(value)
        elif kind in MAPPINGS:
            new = self._mapping(value)
        else:
            names = _fields_of(value)
            if names is None or (self._fresh and not find(value)):
                return value
            new = self._record(value, names)
        self.memo[id(value)] = (value, new)
        return new

    def replaced(self) -> list[tuple[Any, Any]]:
        """Return what was looked through, with what took its place."""
        return list(self.memo.values())

    def _annotation(self, value: Annotation[Any]) -> Any:
        if isinstance(value, quote):
            return value.value if self._unwrap else value
        inner = self(value.value)
        if self._unwrap:
            return inner
        return value if inner is value.value else value.rewrap(inner)

    def _sequence(self, value: Any) -> Any:
        kind = type(value)
        fresh = self._fresh and kind in _MUTABLE
        if ATOMIC.issuperset(map(type, value)):
            return value.copy() if fresh else value
        if fresh and (kind is list or kind in _future_lists):
            return self._list(value)
        self.memo[id(value)] = (value, value)
        changed = fresh
        items = []
        for item in value:
            new = item if type(item) in ATOMIC else self(item)
            changed = changed or new is not item
            items.append(new)
        if not changed:
            return value
        return items if kind in _future_lists else kind(items)

    def _list(self, value: list[Any]) -> list[Any]:
        new = value.copy()
        self.memo[id(value)] = (value, new)
        atomic, results, put = ATOMIC, _results, self._put
        for i, item in enumerate(new):
            kind = type(item)
            if kind not in atomic:
                new[i] = put(item) if issubclass(kind, results) else self(item)
        return new

    def _mapping(self, value: Any) -> Any:
        fresh = value.copy() if self._fresh else value
        self.memo[id(value)] = (value, fresh)
        if ATOMIC.issuperset(map(type, fresh)) and ATOMIC.issuperset(map(type, fresh.values())):
            return fresh
        changed = False
        items = []
        for key, item in fresh.items():
            new_key, new = self(key), self(item)
            changed = changed or new is not item or new_key is not key
            items.append((new_key, new))
        if not changed:
            return fresh
        if not self._fresh:
            return type(value)(items)
        fresh.clear()
        fresh.update(items)
        return fresh

    def _record(self, value: Any, names: list[str]) -> Any:
        self.memo[id(value)] = (value, value)
        changes = {}
        for name in names:
            old = getattr(value, name, None)
            new = self(old)
            if new is not old:
                changes[name] = new
        if not changes:
            return value
        # A shallow copy, not dataclasses.replace: fields with init=False and validation that runs
        # in __post_init__ must not stand in the way of putting a value in.
        clone = copy.copy(value)
        for name, new in changes.items():
            object.__setattr__(clone, name, new)
        return clone


def _is_record(kind: type) -> bool:
    if issubclass(kind, tuple):
        return hasattr(kind, "_fields") or hasattr(kind, "n_sequence_fields")  # of os, of time
    try:
        return hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__pydantic_fields__")
    except Exception:  # a metaclass of users
        return False


def is_static_for_map(value: Any) -> bool:
    """Say whether `.map` passes the value whole: ``unmapped``, text, bytes, files, records (named
    tuples, dataclass instances, models: their fields are no items), no iterable."""
    kind = type(value)
    if issubclass(kind, (unmapped, str, bytes, bytearray, memoryview)) or _is_record(kind):
        return True
    if hasattr(value, "readline"):
        return True
    try:
        iter(value)
    except TypeError:  # also of arrays without dimensions, which have the method
        return True
    return False
