"""Recorded texts as values: only where the text is all of the value, and never by executing it."""

from __future__ import annotations

import ast
import datetime
import decimal
import pathlib
import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.previews import params_reprs
from flowdeck.values.redaction import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Calls that stand in texts of values: what they are made into.
_MAKERS: Final[Mapping[str, Callable[..., Any]]] = {
    "datetime.date": datetime.date,
    "datetime.datetime": datetime.datetime,
    "datetime.time": datetime.time,
    "datetime.timedelta": datetime.timedelta,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "PosixPath": pathlib.Path,
    "WindowsPath": pathlib.Path,
    "range": range,
    "set": set,
    "frozenset": frozenset,
}
_NAMES: Final[Mapping[str, Any]] = {
    "inf": float("inf"), "nan": float("nan"), "datetime.timezone.utc": datetime.UTC
}  # fmt: skip
_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")


class _NotWhole(Exception):
    """The text is not all of a value."""


def shows(name: str, value: Any, text: str) -> bool:
    """Say whether a recorded text is the one that this value has as a parameter.

    Args:
        name: of the parameter; some names hide their values.
        value: any.
        text: as recorded. Where an object was in memory does not count.
    """
    return _ADDRESS.sub("", params_reprs({name: value})[name]) == _ADDRESS.sub("", text)


def says_place(text: str) -> bool:
    """Say whether a text says of an object where it was in memory, so that others look like it."""
    return bool(_ADDRESS.search(text))


def value_in(name: str, text: str) -> tuple[Any] | None:
    """Return the value that a recorded text says all of, in a tuple; ``None``: it does not.

    Args:
        name: of the parameter.
        text: as recorded.
    """
    if HIDDEN in text or text.endswith("…"):
        return None
    try:
        value = _value(ast.parse(text, mode="eval").body)
    except (_NotWhole, ValueError, TypeError, SyntaxError, ArithmeticError, RecursionError):
        return None
    except MemoryError:  # what the parser says of deep nesting
        return None
    return (value,) if shows(name, value, text) else None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Tuple):
        return tuple(map(_value, node.elts))
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Set):
        return {_value(item) for item in node.elts}
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        found = _value(node.operand)
        if type(found) in (int, float, complex):
            return -found
        raise _NotWhole
    if isinstance(node, ast.Call):
        maker = _MAKERS.get(_dotted(node.func))
        if maker is None or any(word.arg is None for word in node.keywords):
            raise _NotWhole
        # Texts may come from strangers: nobody is to wait for set(range(10**12)).
        if maker in (set, frozenset) and not all(isinstance(arg, ast.Set) for arg in node.args):
            raise _NotWhole
        words = {str(word.arg): _value(word.value) for word in node.keywords}
        return maker(*map(_value, node.args), **words)
    if isinstance(node, (ast.Name, ast.Attribute)):
        if (name := _dotted(node)) in _NAMES:
            return _NAMES[name]
        raise _NotWhole
    return ast.literal_eval(node)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"
