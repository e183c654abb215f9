"""What a value is, as bytes that are the same in every process for equal values and differ otherwise.

So nothing goes in that depends on memory addresses, on the order of sets or on who imported what.
Values of the standard library, enums, dataclasses, named tuples and plain objects of the user's
classes go in by what they hold. What is none of these goes in as its pickle, which may differ between
processes (then work is done again) but is never the same for other values.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import io
import pathlib
import types
import uuid
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.statics import instance_value, module_of, qualname, static_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Deeper values go in as their pickle, which also knows what to do about cycles.
_MAX_DEPTH: Final = 50
#: ``Py_TPFLAGS_HEAPTYPE``: of classes that were not made in C.
_HEAP_TYPE: Final = 1 << 9


class Seen(dict[int, tuple[int, Any]]):
    """Objects that were met on the way, by their ids, with the numbers they got. They are kept: an id
    must not be given to another one meanwhile.

    Args:
        limit: bytes that one pickle may have; ``None``: any number.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit


class TooLarge(Exception):
    """A pickle has more bytes than it may have."""


def parts_of(value: Any, depth: int = 0, seen: Seen | None = None) -> Iterator[bytes]:
    """Yield an unambiguous form of a value.

    Args:
        value: anything.
        depth: how deep it lies in what is looked at.
        seen: the objects that were met there already.

    Raises:
        Exception: whatever pickling raises, for what cannot be told otherwise; :class:`TooLarge`.
    """
    if seen is None:
        seen = Seen()
    write = None
    if depth <= _MAX_DEPTH:
        cls = type(value)
        write = _WRITERS.get(cls) or _writer_of(cls)
    if write is None:
        yield b"p"
        yield _pickled(value, seen.limit)
    else:
        yield from write(value, depth + 1, seen)


def is_plain(value: Any) -> bool:
    """Say whether a value goes in by what it holds, without a look at what its class does."""
    return type(value) in _WRITERS


def joined(value: Any, depth: int = 0) -> bytes:
    """Return a value's form as one text."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts_of(value, depth))


def _pickled(value: Any, limit: int | None) -> bytes:
    import cloudpickle

    if limit is None:
        data: bytes = cloudpickle.dumps(value, protocol=5)
        return data
    file = _Limited(limit)
    cloudpickle.dump(value, file, protocol=5)
    return file.getvalue()


class _Limited(io.BytesIO):
    """Takes no more than a number of bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        return super().write(data)


# -- plain values -------------------------------------------------------------------------------


def _atom(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    yield f"{type(value).__name__} {value!r}".encode()


def _text(value: str, depth: int, seen: Seen) -> Iterator[bytes]:
    yield b"s" + value.encode("utf-8", "surrogatepass")


def _raw(value: bytes, depth: int, seen: Seen) -> Iterator[bytes]:
    yield b"b" + value


def _int(value: int, depth: int, seen: Seen) -> Iterator[bytes]:
    yield b"i" + value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _sequence(value: Iterable[Any], depth: int, seen: Seen) -> Iterator[bytes]:
    items = list(value)
    yield f"{type(value).__name__} {len(items)}".encode()
    for item in items:
        yield from parts_of(item, depth, seen)


def _set(value: Iterable[Any], depth: int, seen: Seen) -> Iterator[bytes]:
    yield f"{type(value).__name__}".encode()
    yield from _sequence(sorted(joined(item, depth) for item in value), depth, seen)


def _dict(value: dict[Any, Any], depth: int, seen: Seen) -> Iterator[bytes]:
    yield b"dict"
    pairs = [(joined(key, depth), item) for key, item in value.items()]
    yield str(len(pairs)).encode()
    for key, item in sorted(pairs, key=lambda pair: pair[0]):
        yield key
        yield from parts_of(item, depth, seen)


# -- by what they hold --------------------------------------------------------------------------


def _name(cls: type) -> bytes:
    return f"{module_of(cls)}.{qualname(cls)}".encode("utf-8", "surrogatepass")


def _repr(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    """Of classes whose reprs are exact."""
    yield _name(type(value))
    yield repr(value).encode("utf-8", "surrogatepass")


def _slice(value: slice, depth: int, seen: Seen) -> Iterator[bytes]:
    yield b"slice"
    yield from parts_of((value.start, value.stop, value.step), depth, seen)


def _moment(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    """A date or time; of a time zone counts what it is called and how far away it is."""
    yield _name(type(value))
    yield value.isoformat().encode()
    zone = getattr(value, "tzinfo", None)
    if zone is not None:
        called = getattr(zone, "key", None) or value.tzname()
        yield f"{called} {value.fold}".encode("utf-8", "surrogatepass")


def _member(value: enum.Enum, depth: int, seen: Seen) -> Iterator[bytes]:
    yield _name(type(value))
    yield from parts_of(value._value_, depth, seen)


def _named_tuple(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    yield _name(type(value))
    yield from parts_of(tuple(value), depth, seen)


def _object(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    """An object that is nothing but its fields; once, because objects hold each other."""
    known = seen.get(id(value))
    if known is not None:
        yield b"again %d" % known[0]
        return
    seen[id(value)] = len(seen), value
    cls = type(value)
    yield _name(cls)
    if dataclasses.is_dataclass(cls):
        fields = {f.name: instance_value(value, f.name) for f in dataclasses.fields(cls)}
    else:
        fields = object.__getattribute__(value, "__dict__")
    yield from parts_of(fields, depth, seen)


def _bound(value: Any, depth: int, seen: Seen) -> Iterator[bytes]:
    """A method of something that was made in C, or a function of a module that was."""
    yield f"{value.__module__}.{value.__qualname__}".encode()
    of = value.__self__
    if of is not None and not isinstance(of, types.ModuleType):
        yield from parts_of(of, depth, seen)


_WRITERS: Final[dict[type, Callable[[Any, int, Seen], Iterator[bytes]]]] = {
    type(None): _atom,
    bool: _atom,
    float: _atom,
    complex: _atom,
    type(Ellipsis): _atom,
    int: _int,
    str: _text,
    bytes: _raw,
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
    dict: _dict,
    range: _repr,
    slice: _slice,
    datetime.date: _moment,
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.timedelta: _repr,
    datetime.timezone: _repr,
    decimal.Decimal: _repr,
    fractions.Fraction: _repr,
    uuid.UUID: _repr,
    pathlib.PurePosixPath: _repr,
    pathlib.PureWindowsPath: _repr,
    pathlib.PosixPath: _repr,
    pathlib.WindowsPath: _repr,
    types.BuiltinMethodType: _bound,
}


def _writer_of(cls: type) -> Callable[[Any, int, Seen], Iterator[bytes]] | None:
    """Return what writes values of a class that is not in the table; ``None``: they are pickled."""
    if issubclass(cls, enum.Enum):
        return _member
    if issubclass(cls, tuple):
        return _named_tuple if static_attribute(cls, "_fields") is not None else None
    if _says_itself(cls):
        return None
    if dataclasses.is_dataclass(cls):
        return _object
    is_plain = cls.__base__ is object and static_attribute(cls, "__slots__") is None
    return _object if is_plain and cls.__flags__ & _HEAP_TYPE and cls.__dictoffset__ else None


def _says_itself(cls: type) -> bool:
    """Say whether a class has code of its own that tells what its objects are, for pickling."""
    for name in ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__"):
        found = static_attribute(cls, name)
        if found is None or found is getattr(object, name, None):
            continue
        if getattr(found, "__module__", None) != "dataclasses":  # what frozen ones with slots have
            return True
    return False
