"""Which task run a value came from, for values that were handed to the flow's code.

``d = extract(); transform(d)`` passes no future, yet ``transform`` depends on ``extract``: the graph
wants the edge, and a re-run must know that what changed upstream of ``d`` changed ``d``. So results are
recognised by identity when they come back as arguments, themselves or inside lists, tuples, sets and
dicts; and so are the first parts of a result that is a list, tuple or dict (``a, b = split()``).

Identity says it only while the object lives: an address is used again for the next one. What the flow
run keeps in memory anyway is held here too, which costs a reference. Of values that it does not keep
(fetched from a cluster, returned to the code of a task, ``cache_result_in_memory=False``) a weak
reference is held where the type has them, and of the others the last :data:`FEW` that are small: what a
run is told not to keep must not stay in memory for the sake of a picture.

Objects that Python itself uses in many places say nothing: ``None``, ``True``, small ints, short texts,
empty tuples, functions and classes are never traced. Of an immutable object that two task runs return (a
constant of the module) nobody can say whose it is, so it is nobody's, unless the later run had been
given it; a mutable one belongs to the run that returned it last, since that may have changed it.

Tried before: registering every result when its run ends. It traced nothing more, and cost memory for
each of 100,000 task runs whose value nobody asks for.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from itertools import islice
from sys import getsizeof
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck.annotations import Annotation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: So many values are held for their identity alone, and of so many bytes each.
FEW: Final = 64
SMALL: Final = 1 << 20
#: And so many copies of arguments that wait.
COPIES: Final = 20_000
#: So many parts of a result are traced, and so many of an argument are looked at.
PARTS: Final = 32
LOOKED_AT: Final = 1000
#: Texts shorter than this may be constants that Python shares between unrelated places.
SHORT: Final = 16

_NEVER: Final = frozenset(
    {
        type(None), bool, type, range, type(Ellipsis), type(NotImplemented), FunctionType,
        BuiltinFunctionType, MethodType, ModuleType,
    }
)  # fmt: skip
_TEXTS: Final = frozenset({str, bytes})
_CONSTANTS: Final = frozenset({int, float, complex, str, bytes, tuple, frozenset})
_SEQUENCES: Final = frozenset({list, tuple})
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset, dict})
#: What cannot hold objects of other types without its being seen.
_PLAIN: Final = _CONSTANTS | _NEVER | _CONTAINERS
#: In place of a task run's number: several returned it, so that it says nothing.
_NOBODY: Final = 0

#: The number of a task run, and whether the object is all that it returned.
Origin: TypeAlias = tuple[int, bool]


def _says_something(value: object, kind: type) -> bool:
    """Say whether the identity of a value of this type tells whose it is."""
    if kind in _NEVER:
        return False
    if kind is int:
        return not -5 <= value <= 256  # type: ignore[operator]
    if kind in _TEXTS:
        return len(value) >= SHORT  # type: ignore[arg-type]
    if kind is tuple or kind is frozenset:
        return bool(value)
    return True


def _is_small(value: Any) -> bool:
    """Say whether a value of built-in types has at most about :data:`SMALL` bytes; of large containers
    the first items stand for the others. Objects of other types may hold anything, and so may what
    has no end within :data:`LOOKED_AT` steps."""
    left, size, stack = LOOKED_AT, 0.0, [(value, 1.0)]
    while stack:
        item, times = stack.pop()
        kind = type(item)
        left -= 1
        if not left or kind not in _PLAIN:
            return False
        size += getsizeof(item) * times
        if size > SMALL:
            return False
        if kind in _CONTAINERS:
            some = list(islice(item.values() if kind is dict else item, PARTS))
            stack += [(part, times * len(item) / len(some)) for part in some]
    return True


class Lineage:
    """The results of one flow run's task runs, recognised by identity.

    Safe to use from several threads: every step is one operation of a dict.
    """

    __slots__ = ("_copies", "_few", "_given", "_held", "_weak")

    def __init__(self) -> None:
        self._held: dict[int, tuple[Any, Origin]] = {}
        self._weak: dict[int, tuple[weakref.ref[Any], Origin]] = {}
        self._few: OrderedDict[int, tuple[Any, Origin]] = OrderedDict()
        #: Of a task run that was given results: whose.
        self._given: dict[int, tuple[int, ...]] = {}
        self._copies: OrderedDict[int, tuple[Any, Origin]] = OrderedDict()

    @property
    def is_used(self) -> bool:
        """Whether any result was handed over."""
        return bool(self._held or self._weak or self._few)

    def enter(self, value: Any, no: int, *, is_kept: bool) -> None:
        """A value was handed to code of the user's.

        Args:
            value: what the task run returned.
            no: the task run's number.
            is_kept: the flow run holds the value until it ends.
        """
        kind = type(value)
        if _says_something(value, kind):
            self._enter(value, kind, (no, True), is_kept)
        parts: Any = ()
        if kind in _SEQUENCES:
            parts = value[:PARTS]
        elif kind is dict and len(value) <= PARTS:
            parts = list(value.values())
        else:
            return
        origin = no, False
        for part in parts:
            kind = type(part)
            if _says_something(part, kind):
                self._enter(part, kind, origin, is_kept)

    def _enter(self, value: Any, kind: type, origin: Origin, is_kept: bool) -> None:
        no, is_whole = origin
        before = self.origin_of(value)
        if before is not None:
            if before[0] == no:
                return
            if kind in _CONSTANTS and before[0] not in self._given.get(no, ()):
                origin = _NOBODY, is_whole
        key = id(value)
        if is_kept:
            self._held[key] = (value, origin)
            return
        try:
            self._weak[key] = (weakref.ref(value), origin)
        except TypeError:
            if _is_small(value):
                self._few[key] = (value, origin)
                if len(self._few) > FEW:
                    self._few.popitem(last=False)

    def note_given(self, no: int, origins: Iterable[int]) -> None:
        """A task run was given results: what it returns may be one of them, and is its own then.

        Args:
            no: number of the task run.
            origins: the numbers of those whose results they are.
        """
        found = tuple(origins)
        if found:
            self._given[no] = found

    def carry(self, copies: Iterable[tuple[Any, Any]]) -> None:
        """Arguments were copied as they are now: a copy stands for what was copied.

        Args:
            copies: originals, each with its copy.
        """
        if not self.is_used:
            return
        for original, copied in copies:
            origin = None if copied is original else self.origin_of(original)
            if origin is not None:
                self._copies[id(copied)] = (copied, origin)
                if len(self._copies) > COPIES:
                    self._copies.popitem(last=False)

    def forget_copies(self) -> None:
        """Nothing that was submitted is waiting any more."""
        if self._copies:
            self._copies = OrderedDict()

    def origin_of(self, value: Any) -> Origin | None:
        """Return which task run returned this very object; ``None`` if that is not known."""
        key = id(value)
        found = self._held.get(key)
        if found is not None and found[0] is value:
            return found[1]
        if self._copies or self._few:
            for known in (self._copies, self._few):
                found = known.get(key)
                if found is not None and found[0] is value:
                    return found[1]
        weak = self._weak.get(key)
        return None if weak is None or weak[0]() is not value else weak[1]

    def edges(self, parameters: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        """Yield (parameter, number of a task run) for each result found in the arguments."""
        for name, value in parameters.items():
            kind = type(value)
            if kind in _CONTAINERS or kind not in _PLAIN:
                for no in self._inside(value):
                    yield name, no
            elif _says_something(value, kind):
                origin = self.origin_of(value)
                if origin is not None and origin[0]:
                    yield name, origin[0]

    def _inside(self, value: Any) -> Iterator[int]:
        left = LOOKED_AT
        stack = [value]
        seen: set[int] = set()
        while stack and left:
            item = stack.pop()
            if issubclass(type(item), Annotation):
                item = item.value
            left -= 1
            origin = self.origin_of(item)
            if origin is not None and origin[0]:
                yield origin[0]
                continue
            kind = type(item)
            if kind in _CONTAINERS:
                if id(item) in seen:
                    continue
                seen.add(id(item))
                # In one step: another thread may be changing it.
                stack += list(islice(item.values() if kind is dict else item, left))[::-1]
