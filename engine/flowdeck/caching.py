"""Keys under which results are re-used, and delays between retries.

A key must be the same in every process for the same task, code and arguments, and must differ
otherwise. So nothing goes in that depends on memory addresses, on the order of sets or on where in
a file a function stands; what cannot be hashed that way goes in as its pickle, which may differ
between processes (then the result is computed again) but is never the same for other values.
"""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flowdeck.statics import instance_value, static_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Deeper values go in as their pickle, which also knows what to do about cycles.
_MAX_DEPTH: Final = 50
#: More retries than this are not allowed.
_MAX_DELAYS: Final = 50


def task_input_hash(context: Any, arguments: dict[str, Any]) -> str | None:
    """Return a key made of the task, its code and its arguments; for ``cache_key_fn``.

    Args:
        context: has the ``task``.
        arguments: the parameters by name.

    Returns:
        32 hex digits; ``None`` (do not cache) if an argument cannot be hashed.
    """
    import hashlib

    task = context.task
    digest = hashlib.blake2b(digest_size=16)
    try:
        for part in _parts(task, arguments):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    except Exception:  # pickling may raise anything
        return None
    return digest.hexdigest()


def same(one: Any, other: Any) -> bool:
    """Say whether two plain values (and what they are made of) are equal and of the same types."""
    return _joined(one, 0) == _joined(other, 0)


def mark(values: Iterable[tuple[str, Any]]) -> str | None:
    """Return 32 hex digits that stand for named values, ``None`` if one cannot be pickled."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    try:
        for name, value in sorted(values, key=lambda pair: pair[0]):
            part = _joined((name, value), 0)
            digest.update(b"%d:" % len(part))
            digest.update(part)
    except Exception:  # pickling may raise anything
        return None
    return digest.hexdigest()


def _parts(task: Any, arguments: dict[str, Any]) -> Iterator[bytes]:
    key = getattr(task, "key", None) or f"{task.fn.__module__}:{task.fn.__qualname__}"
    yield str(key).encode("utf-8", "surrogatepass")
    yield from _function(task.fn, set())
    for name in sorted(arguments):
        yield name.encode("utf-8", "surrogatepass")
        yield from _value(arguments[name], 0)


# -- code ---------------------------------------------------------------------------------------


def _function(fn: Any, seen: set[int]) -> Iterator[bytes]:
    """Yield what a callable does: its instructions, constants, and the functions it closes over."""
    if id(fn) in seen:
        return
    seen.add(id(fn))
    if isinstance(fn, functools.partial):
        yield from _function(fn.func, seen)
        yield from _value((fn.args, fn.keywords), 0)
    elif isinstance(fn, types.MethodType):
        yield from _function(fn.__func__, seen)
        yield from _value(fn.__self__, 0)
    elif isinstance(fn, types.FunctionType):
        yield from _code(fn.__code__)
        for cell in fn.__closure__ or ():
            yield from _cell(cell, seen)
    elif isinstance(fn, (types.BuiltinFunctionType, type)):
        yield f"{fn.__module__}.{fn.__qualname__}".encode()
    else:  # a callable object
        call = static_attribute(type(fn), "__call__")
        if isinstance(call, types.FunctionType):
            yield from _function(call, seen)
        yield from _value(fn, 0)


def _cell(cell: types.CellType, seen: set[int]) -> Iterator[bytes]:
    try:
        content = cell.cell_contents
    except ValueError:  # not assigned yet
        return
    if isinstance(content, (types.FunctionType, types.MethodType, functools.partial)):
        yield from _function(content, seen)
    elif type(content) in _PLAIN:
        yield from _value(content, 0)
    else:
        # Other objects (connections, models) say nothing about the code, but tasks and flows do.
        try:
            function = instance_value(content, "fn")
        except AttributeError:
            return
        if isinstance(function, types.FunctionType):
            yield from _function(function, seen)


def _code(code: types.CodeType) -> Iterator[bytes]:
    """Yield what the code does, not where it stands: neither file name nor line numbers."""
    yield code.co_code
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield repr(counts).encode()
    yield repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)).encode()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _code(constant)
        else:
            yield from _value(constant, 0)


# -- values -------------------------------------------------------------------------------------


def _value(value: Any, depth: int) -> Iterator[bytes]:
    """Yield an unambiguous form of a value."""
    write = _PLAIN.get(type(value))
    if write is None or depth > _MAX_DEPTH:
        yield b"p"
        yield _pickled(value)
    else:
        yield from write(value, depth)


def _atom(value: Any, depth: int) -> Iterator[bytes]:
    yield f"{type(value).__name__} {value!r}".encode()


def _text(value: str, depth: int) -> Iterator[bytes]:
    yield b"s" + value.encode("utf-8", "surrogatepass")


def _raw(value: bytes, depth: int) -> Iterator[bytes]:
    yield b"b" + value


def _int(value: int, depth: int) -> Iterator[bytes]:
    yield b"i" + value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _sequence(value: Iterable[Any], depth: int) -> Iterator[bytes]:
    items = list(value)
    yield f"{type(value).__name__} {len(items)}".encode()
    for item in items:
        yield from _value(item, depth + 1)


def _set(value: Iterable[Any], depth: int) -> Iterator[bytes]:
    yield f"{type(value).__name__}".encode()
    yield from _sequence(sorted(_joined(item, depth) for item in value), depth)


def _dict(value: dict[Any, Any], depth: int) -> Iterator[bytes]:
    yield b"dict"
    pairs = [(_joined(key, depth), item) for key, item in value.items()]
    yield str(len(pairs)).encode()
    for key, item in sorted(pairs, key=lambda pair: pair[0]):
        yield key
        yield from _value(item, depth + 1)


def _joined(value: Any, depth: int) -> bytes:
    return b"".join(b"%d:%b" % (len(part), part) for part in _value(value, depth + 1))


_PLAIN: Final[dict[type, Callable[[Any, int], Iterator[bytes]]]] = {
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
}


def _pickled(value: Any) -> bytes:
    import cloudpickle

    data: bytes = cloudpickle.dumps(value, protocol=5)
    return data


# -- delays -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Backoff:
    """Delays that double; an object, so that tasks that hold it can be pickled."""

    factor: float

    def __call__(self, retries: int) -> list[float]:
        return [self.factor * 2**number for number in range(min(retries, _MAX_DELAYS))]


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Return retry delays that double, for ``retry_delay_seconds``.

    Args:
        backoff_factor: the first delay in seconds; the n-th is ``backoff_factor * 2**(n - 1)``.
    """
    return _Backoff(backoff_factor)
