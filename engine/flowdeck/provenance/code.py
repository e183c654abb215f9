"""The code of a task or flow as it is recorded: its parts with digests and sources."""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import sys
import tokenize
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from flowdeck.definitions.definition import key_of
from flowdeck.values.code_parts import Parts
from flowdeck.values.redaction import concealed
from flowdeck_store.packed import packed

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Mapping

    from flowdeck_store.read.provenance import CodeRecord

#: Name, digest, source, ``file:line``.
Entry: TypeAlias = tuple[str, str, str | None, str | None]
#: Characters of one function's source, and of all in one definition, that are kept.
_ONE: Final = 16_384
_ALL: Final = 65_536
#: Parts of one definition that are recorded, the nearest first.
_PARTS: Final = 500
#: Of this interpreter are the digests: bytecode is another one's in the next.
PYTHON: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Code:
    """The code of one callable.

    Attributes:
        digests: 16 hex digits by name of each part, the callable itself first.
        sources: the source texts of those that are functions, as far as they can be had.
        document: both, as the record keeps them.
        id: 16 hex digits that stand for the digests.
    """

    __slots__ = ("_bindings", "digests", "document", "id", "sources")

    def __init__(self, fn: Callable[..., Any]) -> None:
        parts = Parts(fn)
        entries = _entries(parts)
        self._bindings = parts.bindings
        self.digests: Mapping[str, str] = parts.digests
        self.sources = {name: source for name, _, source, _ in entries if source is not None}
        self.id = hashlib.blake2b(repr(parts.digests).encode(), digest_size=8).hexdigest()
        self.document = packed(json.dumps({"parts": entries}))

    def record(self, key: str) -> CodeRecord:
        """Return it as the record will give it back."""
        from flowdeck_store.read.provenance import CodeRecord, ProvenancePart  # with SQLite

        parts = {
            name: ProvenancePart(name, digest, self.sources.get(name))
            for name, digest in self.digests.items()
        }
        return CodeRecord(key, PYTHON, parts)

    def is_current(self) -> bool:
        """Say whether what it uses is bound to the same functions and constants still."""
        return self._bindings.are_current()


#: By function; it must not keep the function alive.
_known: weakref.WeakKeyDictionary[Any, Code] = weakref.WeakKeyDictionary()


def code_of(fn: Callable[..., Any]) -> Code:
    """Return the code of a callable; found out once while the globals that it reads stay bound."""
    try:
        found = _known.get(fn)
    except TypeError:  # a callable object that cannot be a key
        return Code(fn)
    if found is None or not found.is_current():
        found = Code(fn)
        try:
            _known[fn] = found
        except TypeError:  # one that cannot be referred to weakly
            pass
    return found


def tasks_below(fn: Callable[..., Any]) -> dict[str, tuple[CodeRecord, ...]]:
    """Return the code of a flow's function, and of all tasks that it reaches by name, by their keys:
    what it would call as far as that can be told without running it."""
    key = f"flow {key_of(fn)}"
    found: dict[str, tuple[CodeRecord, ...]] = {key: (code_of(fn).record(key),)}
    for definition in Parts(fn).definitions:
        key = definition.key
        found[key] = (*found.get(key, ()), code_of(definition.fn).record(key))
    return found


def _entries(parts: Parts) -> list[Entry]:
    found: list[Entry] = []
    room = _ALL
    for name, digest in list(parts.digests.items())[:_PARTS]:
        source = line = None
        function = parts.functions.get(name)
        if function is not None:
            line = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
            source = _source(function, min(room, _ONE))
            room -= len(source or "")
        found.append((name, digest, source, line))
    return found


def _source(function: types.FunctionType, most: int) -> str | None:
    # Not by `inspect.getsource`: that resolves the path of every module of the process first, 20 ms
    # for the 200 of a small flow.
    code = function.__code__
    file, scope = code.co_filename, function.__globals__
    linecache.checkcache(file)
    lines = linecache.getlines(file, scope if scope.get("__file__") == file else None)
    try:
        text = "".join(inspect.getblock(lines[code.co_firstlineno - 1 :]))
    except (SyntaxError, ValueError, tokenize.TokenError):  # the file has changed
        return None
    if not text:
        return None  # typed in, or made by a program
    return concealed(text) if len(text) <= most else None
