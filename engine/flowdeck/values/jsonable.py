"""Parameters as strict JSON: what JSON cannot hold becomes ``<TypeName>``, nothing raises or swells."""

from __future__ import annotations

import enum
import json
import math
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import HIDDEN, is_hidden, without_secrets
from flowdeck.values.statics import (
    encodable,
    imported_class,
    instance_value,
    module_of,
    static_attribute,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

#: Levels of nesting that are kept; deeper ones become placeholders.
_DEPTH: Final = 20
#: Digits of an int beyond which it becomes a placeholder: readers refuse longer ones.
_BIG: Final = 10**300


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class _TooLarge(Exception):
    """The value needs more characters than it may have."""


def placeholder(value: object) -> str:
    """Return what stands in the record for a value that JSON cannot hold: ``<TypeName>``."""
    return f"<{type_name(value)}>"


def dump_object(
    values: Mapping[str, Any],
    limit: int,
    hides: Callable[[str], bool] | None = None,
    *,
    inside: bool = True,
) -> str:
    """Return the mapping as a JSON object of about ``limit`` characters.

    If that is too little, the largest values become placeholders until the rest fits; names are
    never dropped.

    Args:
        values: what is to be written.
        limit: characters.
        hides: says whether the value under a name (key, field) must not be shown.
        inside: secrets inside of texts are hidden too.
    """
    if hides is not None:
        values = {n: HIDDEN if is_hidden(n, v, hides) else v for n, v in values.items()}
    parts = {
        encodable(n): (_dump(value, limit, hides, inside), value) for n, value in values.items()
    }
    total = sum(len(name) + len(text) + 4 for name, (text, _) in parts.items())
    while total > limit:
        name = max(parts, key=lambda name: len(parts[name][0]))
        text, value = parts[name]
        shorter = _encode(encodable(placeholder(value)))
        if len(shorter) >= len(text):
            break
        parts[name] = (shorter, value)
        total -= len(text) - len(shorter)
    inner = ",".join(f"{_encode(name)}:{text}" for name, (text, _) in parts.items())
    return f"{{{inner}}}"


def dump_value(value: object, limit: int) -> str | None:
    """Return one value as JSON, ``None`` if JSON cannot hold all of it in ``limit`` characters."""
    converter = _Converter(limit)
    try:
        plain = converter.convert(value, 0)
    except Exception:
        return None
    return None if converter.lossy else _encode(plain)


def _dump(value: object, limit: int, hides: Callable[[str], bool] | None, inside: bool) -> str:
    try:
        plain = _Converter(limit, hides, inside).convert(value, 0)
    except Exception:  # too large, changed by another thread, or of a type that lies
        plain = encodable(placeholder(value))
    return _encode(plain)


class _Converter:
    """Turns one value into what :mod:`json` takes, counting the characters it will need."""

    def __init__(
        self, limit: int, hides: Callable[[str], bool] | None = None, inside: bool = True
    ) -> None:
        self.left = limit
        self.hides = hides
        self.inside = inside
        self.lossy = False  # something became a placeholder

    def placeholder(self, value: object) -> str:
        self.lossy = True
        return encodable(placeholder(value))

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _TooLarge

    def convert(self, value: Any, depth: int) -> Any:
        kind = type(value)
        self.spend(2)
        if value is None or kind is bool:
            return value
        if kind is str:
            self.spend(len(value))
            if self.inside and self.hides is not None:
                value = without_secrets(value, self.hides)
            return encodable(value)
        if kind is int:
            return self.integer(value)
        if kind is float:
            return self.real(value)
        if depth >= _DEPTH:
            return self.placeholder(value)
        if kind is dict:
            return self.mapping(value, depth)
        if kind in {list, tuple, set, frozenset}:
            return self.items(value, depth)
        return self.other(value, depth)

    def integer(self, value: int) -> Any:
        if not -_BIG < value < _BIG:
            return self.placeholder(value)
        self.spend(len(str(value)))
        return value

    def real(self, value: float) -> Any:
        self.spend(10)
        # JSON has no such numbers; pydantic reads these texts as floats again.
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return value

    def items(self, values: Collection[Any], depth: int) -> list[Any]:
        if type(values) in {list, tuple} and len(values) == 2:
            name, value = values
            if type(name) is str and self.hidden(name, value):
                values = [name, HIDDEN]  # a header or a form field
        return [self.convert(item, depth + 1) for item in values]

    def hidden(self, name: str, value: object) -> bool:
        return self.hides is not None and is_hidden(name, value, self.hides)

    def mapping(self, values: dict[Any, Any], depth: int) -> Any:
        plain: dict[str, Any] = {}
        for key, item in values.items():
            name = self.key(key)
            if name is None or name in plain:
                return self.placeholder(values)  # JSON has text keys only, and no two the same
            plain[name] = HIDDEN if self.hidden(name, item) else self.convert(item, depth + 1)
        return plain

    def key(self, key: Any) -> str | None:
        if issubclass(type(key), enum.Enum):
            key = key._value_
        if type(key) is str:
            self.spend(len(key) + 4)
            return encodable(key)
        if type(key) in {int, float, bool}:
            return json.dumps(key)
        if type(key) in _text_types():
            return str(key)
        return None

    def other(self, value: Any, depth: int) -> Any:
        cls = type(value)
        if issubclass(cls, enum.Enum):
            return self.convert(value._value_, depth + 1)
        if cls in _text_types():
            return self.convert(str(value), depth)
        if cls in {imported_class("datetime", name) for name in ("date", "datetime", "time")}:
            return self.convert(value.isoformat(), depth)
        if cls is imported_class("datetime", "timedelta"):
            return self.real(value.total_seconds())
        if module_of(cls) == "numpy" and getattr(value, "shape", None) == ():
            return self.convert(value.item(), depth + 1)
        for builtin, convert in _SUBCLASSES:
            if issubclass(cls, builtin):
                return self.convert(convert(value), depth + 1)
        names = _field_names(cls, value)
        if names is None:
            return self.placeholder(value)
        return self.mapping({name: instance_value(value, name) for name in names}, depth)


def _text_types() -> set[type | None]:
    return {
        imported_class("pathlib", "PosixPath"),
        imported_class("pathlib", "WindowsPath"),
        imported_class("pathlib", "PurePosixPath"),
        imported_class("pathlib", "PureWindowsPath"),
        imported_class("uuid", "UUID"),
        imported_class("decimal", "Decimal"),
    }


#: The plain value in a subclass of a built-in type, read without methods the subclass overrides.
_SUBCLASSES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, lambda value: str.__getitem__(value, slice(None))),
    (int, lambda value: int.__add__(value, 0)),
    (float, lambda value: float.__add__(value, 0.0)),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (list, lambda value: list(list.__iter__(value))),
    (dict, lambda value: dict(dict.items(value))),
)


def _field_names(cls: type, value: object) -> list[str] | None:
    """Return the fields of a dataclass instance or a pydantic model, ``None`` for all others."""
    fields = static_attribute(cls, "__dataclass_fields__")
    if fields is not None:
        return list(fields)
    if static_attribute(cls, "__pydantic_fields__") is not None:
        return list(object.__getattribute__(value, "__dict__"))
    return None
