"""The code of a task, part by part: what changed between two runs, by name.

:mod:`flowdeck.values.code_digest` answers another question, whether a *cached* result may be used for
this code, and takes in whatever can be pickled. Here it is asked between two processes, days apart,
whether the user has edited something; so only what stands in the user's files goes in:

* the functions and methods of the user's that are reached, by what they do;
* constants: numbers, texts, dates, paths, patterns, enum members, and lists, tuples, sets and dicts of
  them or of functions. A time with microseconds is what the clock said, and no constant.

What the code itself changes is state, not code: a global that a function assigns or appends to, such as
a counter or a list of calls. A client, a lock, a frame of data are neither.

Names are those of :func:`flowdeck.definitions.definition.key_of`, ``<file's stem>.<qualified name>``:
the same whether the file is run as a script, by ``flowdeck run`` or imported.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import dis
import enum
import fractions
import functools
import hashlib
import pathlib
import re
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values import content
from flowdeck.values.code_digest import Walk, only_wraps, static
from flowdeck.values.main_module import MAIN, stem_of
from flowdeck.values.statics import instance_value, module_of, qualname, static_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_ATOMS: Final = frozenset(
    {
        type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis), datetime.date,
        datetime.timedelta, decimal.Decimal, fractions.Fraction, pathlib.PosixPath, pathlib.WindowsPath,
    }
)  # fmt: skip
_CONTAINERS: Final = frozenset({list, tuple, set, frozenset})
_MOMENTS: Final = frozenset({datetime.datetime, datetime.time})
_MAPPINGS: Final = frozenset(
    {dict, collections.OrderedDict, collections.defaultdict, types.MappingProxyType}
)
_OTHERS: Final = _MAPPINGS | {re.Pattern, bytearray}
_CODE: Final = (types.FunctionType, types.BuiltinFunctionType, type)
#: Values in one constant that are looked at; a larger one is data.
_MOST: Final = 10_000
_MUTATORS: Final = frozenset(
    {
        "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem",
        "popleft", "remove", "reverse", "setdefault", "sort", "update",
    }
)  # fmt: skip
_GLOBALS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_LOADS: Final = _GLOBALS | {"LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF"}
_GOES_ON: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_ASSIGNS: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
_ITEMS: Final = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR"})


class Parts:
    """The parts of a callable's code.

    Attributes:
        digests: 16 hex digits by name of the part, the callable itself first.
        functions: those of them that are functions.
        bindings: what the globals that matter were bound to.
        definitions: the tasks and flows that are reached.
    """

    __slots__ = ("bindings", "definitions", "digests", "functions")

    def __init__(self, fn: Any) -> None:
        walk = _CodeWalk()
        walk.walk(fn)
        self.digests = walk.digests()
        self.functions = walk.functions
        self.bindings = Bindings(walk.bound)
        self.definitions = list(walk.definitions.values())


class Bindings:
    """Globals that code reads, and what they were bound to: a function that is defined again in a
    notebook is another one. Nothing that may be large is kept alive by it."""

    __slots__ = ("_bound",)

    def __init__(self, bound: Iterable[tuple[dict[str, Any], str, Any]]) -> None:
        self._bound = [
            (names, name, held)
            for names, name, value in bound
            if (held := _held(value)) is not None
        ]

    def are_current(self) -> bool:
        """Say whether all are bound to the same objects still."""
        return all(names.get(name) is held() for names, name, held in self._bound)


def _held(value: Any) -> Callable[[], Any] | None:
    """Return what gives the object as long as it lives; ``None``: it is neither code nor constant."""
    if isinstance(value, (types.FunctionType, type)) or only_wraps(value):
        try:
            return weakref.ref(value)
        except TypeError:
            return None
    return (lambda: value) if type(value) in _ATOMS else None


class _CodeWalk(Walk):
    def __init__(self) -> None:
        super().__init__()
        self.functions: dict[str, types.FunctionType] = {}
        self.bound: list[tuple[dict[str, Any], str, Any]] = []
        self.definitions: dict[int, Any] = {}
        self._state: set[str] = set()

    def digests(self) -> dict[str, str]:
        found: dict[str, bytes] = {}
        for name, part in self._parts:
            if name and name not in self._state:
                found[name] = found.get(name, b"") + b"%d:" % len(part) + part
        return {n: hashlib.blake2b(d, digest_size=8).hexdigest() for n, d in found.items()}

    def _called(self, found: Any) -> str:
        if isinstance(found, types.FunctionType):
            return f"{self._place(found.__globals__)}.{found.__qualname__}"
        place = module_of(found)
        return f"{MAIN if place == '__main__' else place}.{qualname(found)}"

    def _place(self, names: dict[str, Any]) -> str:
        return _stem(names) or str(names.get("__name__"))

    def _found(self, names: dict[str, Any], chain: tuple[str, ...]) -> tuple[str, Any] | None:
        if chain[0] in names:
            self.bound.append((names, chain[0], names[chain[0]]))
        return super()._found(names, chain)

    def _function(self, fn: types.FunctionType) -> None:
        name = self._called(fn)
        self.functions.setdefault(name, fn)
        known = static(fn.__code__)
        if known.changes is None:
            known.changes = tuple(dict.fromkeys(_changes(fn.__code__)))
        for scope, *chain in known.changes:
            if scope == "closure":
                self._state.add(f"{name}<{chain[0]}>")
            elif (found := self._found(fn.__globals__, tuple(chain))) is not None:
                self._state.add(found[0])
        super()._function(fn)

    def _value(self, name: str, value: Any, closed_over: bool) -> None:
        if isinstance(value, (staticmethod, classmethod, property, types.MethodType)):
            return
        if isinstance(value, functools.partial):
            value = (value.args, value.keywords)
        elif only_wraps(value):
            if isinstance(getattr(value, "key", None), str):
                self.definitions[id(value)] = value
            return
        else:
            for function in _functions_in(value, [_MOST]):
                self._take_in(name, function)
        try:
            spelled = _spelled(value, self._called, [_MOST])
        except (_NoConstantError, TypeError, RuntimeError):  # no key, or changed meanwhile
            return
        self._parts.append((name, content.joined(spelled)))

    def _may_count(self, value: Any) -> bool:
        return super()._may_count(value) or type(value) in _OTHERS or _is_of_fields(value)


class _NoConstantError(Exception):
    """A value that no file spells out."""


def _spelled(value: Any, called: Callable[[Any], str], room: list[int], depth: int = 0) -> Any:
    """Return a constant with its enum members as plain values: their classes' modules have one name
    in a script and another where it is imported.

    Args:
        value: anything.
        called: gives a class its name.
        room: how many values may be looked at.
        depth: how deep it lies.

    Raises:
        _NoConstantError: it is none, or too large.
    """
    room[0] -= 1
    kind = type(value)
    if room[0] < 0 or depth > 20:
        raise _NoConstantError
    if kind in _ATOMS:
        return value
    if kind in _CONTAINERS:
        return kind(_spelled(item, called, room, depth + 1) for item in list(value))
    if kind in _MAPPINGS:
        spelled = {
            _spelled(key, called, room, depth + 1): _spelled(item, called, room, depth + 1)
            for key, item in list(value.items())
        }
        if kind is collections.OrderedDict:
            return kind.__name__, list(spelled.items())
        return spelled if kind is dict else (kind.__name__, spelled)
    if depth and isinstance(value, _CODE):
        if isinstance(value, types.BuiltinFunctionType):
            return "code", value.__module__, value.__qualname__
        return "code", called(value)
    if _is_record(value):
        held = {f: instance_value(value, f) for f in _fields(kind)}
        return "record", called(kind), _spelled(held, called, room, depth + 1)
    return _other(value, called, room, depth)


def _other(value: Any, called: Callable[[Any], str], room: list[int], depth: int) -> Any:
    kind = type(value)
    if kind in _MOMENTS and not value.microsecond:
        return value
    if kind is re.Pattern:
        return "pattern", value.pattern, value.flags
    if kind is bytearray:
        return "bytearray", bytes(value)
    if issubclass(kind, tuple) and static_attribute(kind, "_fields") is not None:
        return "named", called(kind), _spelled(tuple(value), called, room, depth + 1)
    if isinstance(value, enum.Enum):
        return "enum", called(kind), _spelled(value._value_, called, room, depth + 1)
    raise _NoConstantError


def _is_record(value: Any) -> bool:
    """Say whether a value is a frozen dataclass's: nobody changes it."""
    kind = type(value)
    options = static_attribute(kind, "__dataclass_params__")
    return options is not None and bool(getattr(options, "frozen", False))


def _is_of_fields(value: Any) -> bool:
    return _is_record(value) or (
        isinstance(value, tuple) and static_attribute(type(value), "_fields") is not None
    )


def _fields(kind: Any) -> Iterator[str]:
    return (field.name for field in dataclasses.fields(kind))


def _functions_in(value: Any, room: list[int], depth: int = 0) -> Iterator[Any]:
    """Yield the functions, classes and tasks that a container holds."""
    room[0] -= 1
    if room[0] < 0 or depth > 20:
        return
    kind = type(value)
    if kind in _MAPPINGS:
        inner = list(value.values())
        if kind is collections.defaultdict:
            inner.append(value.default_factory)
    elif kind in {set, frozenset}:  # in an order that is always the same
        inner = sorted(value, key=_sorts_by)
    elif kind in {list, tuple} or issubclass(kind, tuple):
        inner = list(value)
    else:
        if depth and (isinstance(value, (*_CODE, functools.partial)) or only_wraps(value)):
            yield value
        return
    for item in inner:
        yield from _functions_in(item, room, depth + 1)


def _stem(names: dict[str, Any]) -> str | None:
    """Return what a module is called after its file: the same whoever imported it, and how."""
    file = names.get("__file__")
    if file is None and names.get("__name__") == "__main__":
        return MAIN
    return stem_of(file) if isinstance(file, str) and file else None


# -- what code changes --------------------------------------------------------------------------------


def _changes(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    """Yield what the code assigns, or changes in place: ("global" or "closure", name, ...)."""
    steps = list(dis.get_instructions(code))
    for place, step in enumerate(steps):
        if step.opname in _ASSIGNS:
            yield "global", str(step.argval)
        elif step.opname == "STORE_DEREF" and step.argval in code.co_freevars:
            yield "closure", str(step.argval)
        elif step.opname in _GOES_ON and step.argval in _MUTATORS:
            at = place - 1
            yield from _chain(steps, _container(steps, at) if _is_item(steps[at]) else at, code)
        elif step.opname in _ITEMS:
            yield from _chain(steps, _container(steps, place), code)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _changes(constant)


def _chain(
    steps: Sequence[dis.Instruction], place: int, code: types.CodeType
) -> Iterator[tuple[str, ...]]:
    """Yield the global or closed-over name whose loading ends there, with what is read of it."""
    chain: list[str] = []
    while place >= 0 and steps[place].opname in _GOES_ON:
        chain.insert(0, str(steps[place].argval))
        place -= 1
    if place < 0 or steps[place].opname not in _LOADS:
        return
    name = str(steps[place].argval)
    if steps[place].opname in _GLOBALS:
        yield "global", name, *chain
    elif name in code.co_freevars:
        yield "closure", name


def _sorts_by(item: Any) -> str:
    return str(item.__qualname__) if isinstance(item, types.FunctionType) else ""


def _is_item(step: dis.Instruction) -> bool:
    return step.opname == "BINARY_SUBSCR" or (step.opname == "BINARY_OP" and step.argrepr == "[]")


def _container(steps: Sequence[dis.Instruction], place: int) -> int:
    """Return which step put the container of an item assignment on the stack; -1: not told.

    Counted backwards by how each step changes the height of the stack: right for straight code, and
    what it misses for other code is only that a container counts as a constant.
    """
    below = (
        -3 if place and steps[place - 1].opname == "SWAP" else -2
    )  # ``x[k] += 1`` turns it around
    height = 0
    for at in range(place - 1, -1, -1):
        step = steps[at]
        try:
            height -= dis.stack_effect(step.opcode, step.arg, jump=False)
        except ValueError:
            return -1
        if height <= below:
            while at + 1 < place and steps[at + 1].opname in _GOES_ON:
                at += 1
            return at
    return -1
