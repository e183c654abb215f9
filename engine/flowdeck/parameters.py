"""Parameters of flows and tasks: binding, and for flows validation by annotation.

Importing this loads no pydantic: a flow without annotations, or called with exactly the plain types
it is annotated with, never needs it (:mod:`flowdeck.parameters_types`).
"""

from __future__ import annotations

import importlib
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ParameterTypeError
from flowdeck.parameters_bind import RESERVED, Binder, bind, check_reserved, signature_of
from flowdeck.parameters_types import (
    adapter_for,
    annotations_of,
    check,
    is_unchecked,
    simple_types,
    whole_annotation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import TypeAdapter

    from flowdeck.parameters_forms import ParameterInfo, describe
    from flowdeck.parameters_texts import from_texts

__all__ = [
    "RESERVED",
    "Binder",
    "ParameterInfo",
    "bind",
    "check_compatible",
    "describe",
    "from_texts",
    "validate",
]


#: What only forms and the command line need is imported when it is asked for: ``import flowdeck``
#: must stay fast.
_LATE: Final = {
    "ParameterInfo": "flowdeck.parameters_forms",
    "describe": "flowdeck.parameters_forms",
    "from_texts": "flowdeck.parameters_texts",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATE[name]), name)


def check_compatible(fn: Callable[..., Any]) -> None:
    """Refuse a function whose parameters cannot be validated.

    Raises:
        ValueError: an argument name starts with an underscore.
        ReservedArgumentError: one is a name that the engine needs for itself.
    """
    signature = signature_of(fn)
    check_reserved(fn, signature)
    if any(name.startswith("_") for name in signature.parameters):
        raise ValueError(
            "Flow function is not compatible with `validate_parameters`. "
            "Disable validation or change the argument names."
        )


def validate(fn: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Check and coerce parameters by the function's annotations, as pydantic does.

    Unannotated parameters stay as they are. A default value that does not fit its own annotation
    (``x: int = None``) is taken as it is.

    Args:
        fn: the flow's function.
        parameters: all parameters by name, as :meth:`Binder.bind` gives them.

    Raises:
        ParameterTypeError: some do not fit; the message lists each.
    """
    validator = _validators.get(fn) if _is_referable(fn) else None
    if validator is None:
        validator = _Validator(fn)
        if _is_referable(fn):
            _validators[fn] = validator
    return validator.run(parameters)


class _Validator:
    """Checks the parameters of one function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        signature = signature_of(fn)
        annotations = annotations_of(fn, signature)
        self.defaults = {p.name: p.default for p in signature.parameters.values()}
        self.checked: dict[str, tuple[Any, frozenset[type] | None]] = {}
        self.adapters: dict[str, TypeAdapter[Any] | None] = {}
        for name, annotation in annotations.items():
            if is_unchecked(annotation):
                continue
            kind = signature.parameters[name].kind
            whole = whole_annotation(annotation, kind)
            simple = simple_types(annotation) if whole is annotation else None
            self.checked[name] = (whole, simple)

    def run(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        validated = dict(parameters)
        problems: list[tuple[str, str]] = []
        for name, (annotation, simple) in self.checked.items():
            if name not in validated:
                continue
            value = validated[name]
            if simple is not None and type(value) in simple:
                continue
            if name not in self.adapters:
                self.adapters[name] = adapter_for(annotation)
            found, bad = check(self.adapters[name], name, value)
            if not bad:
                validated[name] = found
            elif value is not self.defaults.get(name):
                problems += bad
        if problems:
            raise ParameterTypeError.from_problems(problems)
        return validated


#: Building adapters costs milliseconds, and a subflow may be called thousands of times.
_validators: weakref.WeakKeyDictionary[Callable[..., Any], _Validator] = weakref.WeakKeyDictionary()


def _is_referable(fn: Callable[..., Any]) -> bool:
    return type(fn) is types.FunctionType  # others may be unhashable, or equal without being same
