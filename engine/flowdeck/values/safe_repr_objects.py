"""Bounded reprs of objects known by more than their ``__repr__``: records, values, arrays.

A record is an object whose ``__repr__`` was generated from its fields (dataclass, named tuple,
attrs class, pydantic model): its fields are walked, since the generated code would show all of a
field, however large or secret.
"""

from __future__ import annotations

import types
from collections import namedtuple
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from flowdeck.values.statics import (
    imported_class,
    instance_value,
    module_of,
    qualname,
    static_attribute,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Walks(Protocol):
    """What is needed here of the walker of :mod:`flowdeck.values.safe_repr`, which writes the repr."""

    limit: int
    left: int
    foreign: Callable[[Any], str] | None

    def write(self, text: str) -> None: ...
    def items(
        self, value: object, opening: str, closing: str, pieces: Iterable[object]
    ) -> None: ...
    def user_code(self, value: object) -> None: ...


#: Immutable values of the standard library whose ``repr`` is short and calls no other.
_VALUES: Final = {
    ("datetime", "date"), ("datetime", "timedelta"), ("datetime", "timezone"),
    ("decimal", "Decimal"), ("uuid", "UUID"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath"),
    ("pathlib", "PurePosixPath"), ("pathlib", "PureWindowsPath"), ("re", "Pattern"),
    ("ipaddress", "IPv4Address"), ("ipaddress", "IPv6Address"), ("zoneinfo", "ZoneInfo"),
}  # fmt: skip

#: Packages whose objects with a ``shape`` are shown by it: their own repr may compute or transfer.
_ARRAYS: Final = frozenset(
    {"numpy", "pandas", "polars", "pyarrow", "torch", "tensorflow", "jax", "jaxlib", "xarray",
     "dask", "cupy", "scipy", "geopandas", "modin", "cudf", "h5py", "zarr"}
)  # fmt: skip
#: From this limit on there is room for an array's own (abbreviated) repr.
_ROOMY: Final = 1000
#: Arrays of so few items are shown in full.
_FEW: Final = 16

_NAMEDTUPLE_FILE: Final = namedtuple("_N", "a").__repr__.__code__.co_filename  # noqa: PYI024


class Pair(NamedTuple):
    """A dict's ``key: value`` or a record's ``name=value``, to be written as one piece."""

    key: object
    value: object
    separator: str


def handler(cls: type, function: object, value: Any) -> Callable[[Walks, Any], None] | None:
    """Return what writes this value's bounded repr, ``None`` if only its own code can tell.

    Args:
        cls: the value's type.
        function: the function that is its ``__repr__``.
        value: the value.
    """
    module = module_of(cls)
    if (module, qualname(cls)) in _VALUES and imported_class(module, qualname(cls)) is cls:
        return _value
    if module == "datetime" and _has_plain_zone(cls, value):
        return _value
    if module.partition(".")[0] in _ARRAYS:
        return _array
    if function is types.SimpleNamespace.__repr__:
        return _record
    if isinstance(function, types.FunctionType) and _record_names(cls, function) is not None:
        return _record
    return None


def _value(walker: Walks, value: object) -> None:
    walker.write(repr(value)[: walker.left])


def _has_plain_zone(cls: type, value: Any) -> bool:
    """Say whether this is a date or time whose zone (whose repr is shown too) is none of users."""
    if cls not in (imported_class("datetime", "datetime"), imported_class("datetime", "time")):
        return False
    zone = value.tzinfo
    known = (imported_class("datetime", "timezone"), imported_class("zoneinfo", "ZoneInfo"))
    return zone is None or type(zone) in known


def _record_names(
    cls: type, function: types.FunctionType
) -> Callable[[Any], Iterable[Pair]] | None:
    """Return what yields the fields of a record of this class; ``None`` if it makes none."""
    source = _code_file(function)
    if static_attribute(cls, "__dataclass_fields__") is not None and source == "<string>":
        return _dataclass
    if issubclass(cls, tuple) and source == _NAMEDTUPLE_FILE and function.__name__ == "__repr__":
        return _namedtuple
    if source.startswith("<attrs generated") and static_attribute(cls, "__attrs_attrs__"):
        return _attrs
    if function.__module__.partition(".")[0] == "pydantic":
        return _namespace
    return None


def _code_file(function: types.FunctionType) -> str:
    # dataclasses wrap the generated function in one that stops at recursion.
    inner = getattr(function, "__wrapped__", function)
    return inner.__code__.co_filename if isinstance(inner, types.FunctionType) else ""


def _pairs(value: object, names: Iterable[str]) -> Iterable[Pair]:
    for name in names:
        try:
            yield Pair(name, instance_value(value, name), "=")
        except AttributeError:
            continue  # not set yet, or computed


def fields_of(value: object) -> list[tuple[str, object]] | None:
    """Return the fields of a record with their values, as its repr has them; ``None`` for what is
    none. Those that are not set, or computed, are left out."""
    cls = type(value)
    function = static_attribute(cls, "__repr__")
    names: Callable[[Any], Iterable[Pair]] | None = None
    if function is types.SimpleNamespace.__repr__:
        names = _namespace
    if names is None and isinstance(function, types.FunctionType):
        names = _record_names(cls, function)
    if names is None:
        return None
    return [(str(pair.key), pair.value) for pair in names(value)]


def _record(walker: Walks, value: object) -> None:
    pairs = (Pair(name, item, "=") for name, item in fields_of(value) or ())
    walker.items(value, f"{type_name(value)}(", ")", pairs)


def _dataclass(value: object) -> Iterable[Pair]:
    fields = static_attribute(type(value), "__dataclass_fields__")
    return _pairs(value, [name for name, field in fields.items() if field.repr])


def _attrs(value: object) -> Iterable[Pair]:
    attributes = static_attribute(type(value), "__attrs_attrs__")
    return _pairs(value, [attribute.name for attribute in attributes if attribute.repr])


def _namespace(value: object) -> Iterable[Pair]:
    return _pairs(value, list(object.__getattribute__(value, "__dict__")))


def _namedtuple(value: Any) -> Iterable[Pair]:
    names = static_attribute(type(value), "_fields")
    return (Pair(name, item, "=") for name, item in zip(names, tuple.__iter__(value), strict=False))


def _array(walker: Walks, value: Any) -> None:
    if walker.foreign is None or walker.limit >= _ROOMY:
        walker.user_code(value)  # reading a shape may run code too
        return
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or _is_small(shape):
        walker.user_code(value)
        return
    parts = [f"shape={shape}"]
    columns = getattr(value, "columns", None)
    if columns is not None:
        parts.append(f"columns={[str(column) for column in list(columns[:8])]}")
    elif hasattr(value, "dtype"):
        parts.append(f"dtype={value.dtype}")
    walker.write(f"{type_name(value)}({', '.join(parts)})"[: walker.left])


def _is_small(shape: tuple[Any, ...]) -> bool:
    size = 1
    for length in shape:
        if type(length) is not int:
            return False  # unknown until computed
        size *= length
    return size <= _FEW
