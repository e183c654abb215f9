"""What a function does, as a digest: its own code and what it uses of the user's.

A task's result depends on more than its arguments: on functions that it calls, on constants that it
reads, on what it closes over. What of that can be told without running anything goes in:

* the instructions and constants of the function, not where it stands nor what its comments say;
* defaults, and what it closes over, by content;
* the globals that it reads: functions, classes, tasks and flows of the user's (and what those use in
  turn), other values by content; also what it reads of the user's modules (``helpers.fetch``);
* of everything that is installed, and of Python itself, the name.

What cannot be told: what is found at run time (``getattr``, ``globals()``, an import inside the
function), methods of objects that come as arguments, files, environment, the versions of packages.
A global that has no content to tell (a connection, a lock) stands for its type, because it is mostly
a tool and not a value; where a function *closes over* such a thing there is no digest at all, because
that is how factories make different functions of one code.

Asked again, the same code costs a fraction: what follows from a code object alone is kept. Values are
looked at each time, for they may be others by then.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import logging
import sys
import types
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values import content
from flowdeck.values.of_user import is_file_of_user, is_of_user
from flowdeck.values.statics import instance_value, module_of, qualname

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Functions and classes that are looked at for one digest, and code objects that are remembered.
_MOST: Final = 2000
_REMEMBERED: Final = 4096
#: Bytes of a value that has to be pickled; larger ones cannot be told.
_LARGEST: Final = 16 * 1024 * 1024
_READS: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_GOES_ON: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


@dataclass(frozen=True, slots=True)
class CodeDigest:
    """What a function does.

    Attributes:
        hex: 32 hex digits; ``None`` if something that it closes over cannot be told.
        parts: of everything that went in, its name and 16 hex digits: two digests differ where
            these do.
        unknown: names of what could not be told.
        lacking: the first of them that is closed over, because of which there is no ``hex``.
    """

    hex: str | None
    parts: Mapping[str, str]
    unknown: tuple[str, ...]
    lacking: str | None


def code_digest(fn: Any) -> CodeDigest:
    """Return the digest of a callable: a function, a method, a partial, an object that is called.

    Never raises; runs no code of the user's other than what pickling and reprs run.
    """
    return Walk().run(fn)


class Static:
    """What follows from a code object alone."""

    __slots__ = ("changes", "code", "digest", "reads")

    def __init__(self, code: types.CodeType) -> None:
        self.code = code  # kept: its id must not be given to another one
        self.digest = _hash(_instructions(code))
        #: Globals and what is read of them: ("helpers", "fetch").
        self.reads = tuple(dict.fromkeys(_reads(code)))
        #: What it changes, see :mod:`flowdeck.values.code_parts`, which looks when it needs to.
        self.changes: tuple[tuple[str, ...], ...] | None = None


_known: dict[int, Static] = {}


def static(code: types.CodeType) -> Static:
    """Return what is known of a code object."""
    found = _known.get(id(code))
    if found is None:
        if len(_known) >= _REMEMBERED:
            _known.clear()
        found = _known[id(code)] = Static(code)
    return found


def _instructions(code: types.CodeType) -> Iterator[bytes]:
    """Yield what the code does, not where it stands: neither file name nor line numbers."""
    yield code.co_code
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield repr(counts).encode()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _instructions(constant)
        else:
            yield from content.parts_of(constant)


def _reads(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    chain: list[str] = []
    for step in dis.get_instructions(code):
        if chain and step.opname in _GOES_ON:
            chain.append(str(step.argval))
            continue
        if chain:
            yield tuple(chain)
        chain = [str(step.argval)] if step.opname in _READS else []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _reads(constant)


def _hash(parts: Iterator[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


class Walk:
    """Looks at a callable and at all that it uses, at each function and class once."""

    def __init__(self) -> None:
        self._todo: deque[Any] = deque()
        self._met: dict[int, Any] = {}  # kept, for their ids
        self._values = content.Seen(_LARGEST)
        self._parts: list[tuple[str, bytes]] = []
        self._unknown: list[str] = []
        self._lacking: str | None = None

    def run(self, fn: Any) -> CodeDigest:
        """Return the digest of a callable."""
        self.walk(fn)
        total = hashlib.blake2b(digest_size=16)
        parts: dict[str, bytes] = {}
        for name, part in self._parts:
            text = name.encode("utf-8", "surrogatepass")
            total.update(b"%d:%b%d:%b" % (len(text), text, len(part), part))
            before = parts.get(name)  # functions that a factory made have one name
            parts[name] = part if before is None else _hash(iter((before, part)))
        return CodeDigest(
            total.hexdigest() if self._lacking is None else None,
            {
                name: hashlib.blake2b(part, digest_size=8).hexdigest()
                for name, part in parts.items()
            },
            tuple(dict.fromkeys(self._unknown)),
            self._lacking,
        )

    def walk(self, fn: Any) -> None:
        """Look at a callable and all that it uses."""
        self._take_in("", fn, closed_over=True)
        while self._todo and len(self._met) < _MOST:
            found = self._todo.popleft()
            self._class(found) if isinstance(found, type) else self._function(found)
        if self._todo:
            self._unknown.append("...")

    def _called(self, found: Any) -> str:
        """Return what a function or class is called among the parts."""
        return _name(found)

    def _place(self, names: dict[str, Any]) -> str:
        """Return what a module is called whose globals these are."""
        return str(names.get("__name__"))

    def _function(self, fn: types.FunctionType) -> None:
        name = self._called(fn)
        known = static(fn.__code__)
        self._parts.append((name, known.digest))
        for default in (fn.__defaults__, fn.__kwdefaults__):
            if default:
                self._take_in(f"{name}()", default)
        for variable, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self._take_in(f"{name}<{variable}>", value, closed_over=True)
        for chain in known.reads:
            found = self._found(fn.__globals__, chain)
            if found is not None:
                self._take_in(*found)

    def _found(self, names: dict[str, Any], chain: tuple[str, ...]) -> tuple[str, Any] | None:
        """Return the name and the value of what a function reads of its globals; ``None``: it is
        built in, or not there (yet)."""
        first, *rest = chain
        if first not in names:
            return None
        value, name = names[first], f"{self._place(names)}.{first}"
        while rest and isinstance(value, types.ModuleType) and is_of_user(value):
            attribute = rest.pop(0)
            if attribute not in vars(value):
                return None
            name, value = f"{self._place(vars(value))}.{attribute}", vars(value)[attribute]
        return name, value

    def _class(self, cls: type) -> None:
        name = self._called(cls)
        for base in cls.__bases__:
            self._take_in(f"{name}()", base)
        for attribute, value in vars(cls).items():
            if _is_code(value) or (self._may_count(value) and not _is_dunder(attribute)):
                self._take_in(f"{name}.{attribute}", value)

    def _may_count(self, value: Any) -> bool:
        """Say whether a class's attribute that is no code counts."""
        return content.is_plain(value)

    def _take_in(self, name: str, value: Any, *, closed_over: bool = False) -> None:
        """Take in a value that is used under a name."""
        if isinstance(value, (types.FunctionType, type)):
            # Which one is part of it: two functions may have changed their places.
            self._parts.append((name, self._called(value).encode("utf-8", "replace")))
            if is_users(value):
                self._enqueue(value)
            elif "__wrapped__" in vars(value):  # the wrapper of an installed decorator
                self._take_in(name, vars(value)["__wrapped__"], closed_over=closed_over)
            return
        if not content.is_plain(value):
            for function in _functions_of(value):
                self._take_in(name, function, closed_over=closed_over)
            if is_users(type(value)):  # its methods
                self._enqueue(type(value))
        self._value(name, value, closed_over)

    def _value(self, name: str, value: Any, closed_over: bool) -> None:
        """Take in what a value holds."""
        try:
            self._parts.append((name, _hash(self._content(value))))
        except Exception:  # pickling may raise anything
            called = name or _name(type(value))
            self._unknown.append(called)
            if closed_over and self._lacking is None:
                self._lacking = called
            self._parts.append((name, _name(type(value)).encode("utf-8", "replace")))

    def _enqueue(self, found: Any) -> None:
        if id(found) not in self._met:
            self._met[id(found)] = found
            self._todo.append(found)

    def _content(self, value: Any) -> Iterator[bytes]:
        """Yield what a value is, besides the functions that it stands for."""
        if isinstance(value, functools.partial):
            return content.parts_of((value.args, value.keywords), 0, self._values)
        if isinstance(value, types.MethodType):
            return content.parts_of(value.__self__, 0, self._values)
        if isinstance(value, types.ModuleType):
            return iter((value.__name__.encode("utf-8", "replace"),))
        if isinstance(value, logging.Logger):
            return iter((value.name.encode("utf-8", "replace"),))
        if isinstance(value, (staticmethod, classmethod, property)) or only_wraps(value):
            return iter((_name(type(value)).encode(),))
        return content.parts_of(value, 0, self._values)


def _is_code(value: Any) -> bool:
    """Say whether a class has its author's code under a name; libraries put other things there."""
    return isinstance(value, (types.FunctionType, type)) or any(True for _ in _functions_of(value))


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def only_wraps(value: Any) -> bool:
    """Say whether an object is nothing but the function that it stands for: a task, a cache."""
    return module_of(type(value)).partition(".")[0] in {"flowdeck", "functools"}


def _functions_of(value: Any) -> Iterator[Any]:
    """Yield the functions that something stands for which is no function itself: a method, a
    property, a task, what a decorator made."""
    if isinstance(value, (staticmethod, classmethod, types.MethodType)):
        yield value.__func__
    elif isinstance(value, functools.partial):
        yield value.func
    elif isinstance(value, property):
        yield from (f for f in (value.fget, value.fset, value.fdel) if f is not None)
    elif not isinstance(value, type):
        for attribute in (
            "fn",
            "func",
            "__wrapped__",
        ):  # tasks and flows, cached_property, wrappers
            try:
                found = instance_value(value, attribute)
            except AttributeError:
                continue
            if isinstance(found, types.FunctionType) and found is not value:
                yield found
                return


def is_users(found: Any) -> bool:
    """Say whether a function or class is the user's own."""
    if isinstance(found, types.FunctionType):
        return is_file_of_user(found.__code__.co_filename)
    name = module_of(found)
    module = sys.modules.get(name)
    return name == "__main__" or (name != "builtins" and (module is None or is_of_user(module)))


def _name(found: Any) -> str:
    if isinstance(found, types.FunctionType):
        return f"{found.__module__}.{found.__qualname__}"
    return f"{module_of(found)}.{qualname(found)}"
