"""Bounded reprs of objects known by more than their ``__repr__``: records, values, arrays.

A record is an object whose ``__repr__`` was generated from its fields (dataclass, named tuple,
attrs class, pydantic model): its fields are walked, since the generated code would show all of a
field, however large or secret.
"""

from __future__ import annotations

import types
from collections import namedtuple
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flowdeck.statics import (
    imported_class,
    instance_value,
    module_of,
    qualname,
    static_attribute,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowdeck.reprs import Walker

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


def handler(cls: type, function: object, value: Any) -> Callable[[Walker, Any], None] | None:
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
        return _namespace
    if isinstance(function, types.FunctionType):
        return _record_handler(cls, function)
    return None


def _value(walker: Walker, value: object) -> None:
    walker.write(repr(value)[: walker.left])


def _has_plain_zone(cls: type, value: Any) -> bool:
    """Say whether this is a date or time whose zone (whose repr is shown too) is none of users."""
    if cls not in (imported_class("datetime", "datetime"), imported_class("datetime", "time")):
        return False
    zone = value.tzinfo
    known = (imported_class("datetime", "timezone"), imported_class("zoneinfo", "ZoneInfo"))
    return zone is None or type(zone) in known


def _record_handler(
    cls: type, function: types.FunctionType
) -> Callable[[Walker, Any], None] | None:
    source = _code_file(function)
    if static_attribute(cls, "__dataclass_fields__") is not None and source == "<string>":
        return _dataclass
    if issubclass(cls, tuple) and source == _NAMEDTUPLE_FILE and function.__name__ == "__repr__":
        return _namedtuple
    if source.startswith("<attrs generated") and static_attribute(cls, "__attrs_attrs__"):
        return _attrs
    if function.__module__.partition(".")[0] == "pydantic":
        return _model
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


def _record(walker: Walker, value: object, names: Iterable[str]) -> None:
    walker.items(value, f"{type_name(value)}(", ")", _pairs(value, names))


def _dataclass(walker: Walker, value: object) -> None:
    fields = static_attribute(type(value), "__dataclass_fields__")
    _record(walker, value, [name for name, field in fields.items() if field.repr])


def _attrs(walker: Walker, value: object) -> None:
    attributes = static_attribute(type(value), "__attrs_attrs__")
    _record(walker, value, [attribute.name for attribute in attributes if attribute.repr])


def _model(walker: Walker, value: object) -> None:
    _record(walker, value, list(object.__getattribute__(value, "__dict__")))


def _namespace(walker: Walker, value: object) -> None:
    _record(walker, value, list(object.__getattribute__(value, "__dict__")))


def _namedtuple(walker: Walker, value: tuple[Any, ...]) -> None:
    names = static_attribute(type(value), "_fields")
    pairs = (
        Pair(name, item, "=") for name, item in zip(names, tuple.__iter__(value), strict=False)
    )
    walker.items(value, f"{type_name(value)}(", ")", pairs)


def _array(walker: Walker, value: Any) -> None:
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
