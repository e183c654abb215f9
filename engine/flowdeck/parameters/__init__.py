"""Parameters of flows and tasks: binding, and for flows validation by annotation.

Importing this loads no pydantic: a flow without annotations, or called with exactly the plain types
it is annotated with, never needs it (:mod:`flowdeck.parameters.annotations`).
"""

from __future__ import annotations

import importlib
import types
import weakref
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ParameterTypeError
from flowdeck.parameters.annotations import (
    adapter_for,
    annotations_of,
    check,
    is_unchecked,
    simple_types,
    whole_annotation,
)
from flowdeck.parameters.binding import RESERVED, Binder, bind, check_reserved, signature_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import TypeAdapter

    from flowdeck.parameters.forms import ParameterInfo, describe
    from flowdeck.parameters.texts import from_texts

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
    "ParameterInfo": "flowdeck.parameters.forms",
    "describe": "flowdeck.parameters.forms",
    "from_texts": "flowdeck.parameters.texts",
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


def validate(
    fn: Callable[..., Any], parameters: Mapping[str, Any], doubts: list[str] | None = None
) -> dict[str, Any]:
    """Check and coerce parameters by the function's annotations, as pydantic does.

    Unannotated parameters stay as they are. A default value that does not fit its own annotation
    (``x: int = None``) is taken as it is.

    Args:
        fn: the flow's function.
        parameters: all parameters by name, as :meth:`Binder.bind` gives them.
        doubts: gets a sentence for each parameter that is not checked though it looks so; a function
            is doubted once.

    Raises:
        ParameterTypeError: some do not fit; the message lists each.
    """
    validator = _validators.get(fn) if _is_referable(fn) else None
    if validator is None:
        validator = _Validator(fn)
        if _is_referable(fn):
            _validators[fn] = validator
    validated = validator.run(parameters)
    if doubts is not None:
        doubts += validator.take_doubts()
    return validated


class _Validator:
    """Checks the parameters of one function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        signature = signature_of(fn)
        unresolved: dict[str, Exception] = {}
        annotations = annotations_of(fn, signature, unresolved)
        self._doubts = {
            name: f"Parameter {name!r} is not checked: its annotation "
            f"{signature.parameters[name].annotation!r} means nothing where the flow is defined "
            f"({type(error).__name__}: {error}). Import or define what it names there."
            for name, error in unresolved.items()
        }
        self._told: set[str] = set()
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
            elif value is not None:
                self._doubts[name] = (
                    f"The default of parameter {name!r} does not fit its annotation and is taken "
                    f"as it is: {bad[0][1]}"
                )
        if problems:
            raise ParameterTypeError.from_problems(problems)
        return validated

    def take_doubts(self) -> list[str]:
        """Return what was not told yet about parameters that are not checked."""
        new = [text for name, text in self._doubts.items() if name not in self._told]
        self._told |= self._doubts.keys()
        return new


#: Building adapters costs milliseconds, and a subflow may be called thousands of times.
_validators: weakref.WeakKeyDictionary[Callable[..., Any], _Validator] = weakref.WeakKeyDictionary()


def _is_referable(fn: Callable[..., Any]) -> bool:
    return type(fn) is types.FunctionType  # others may be unhashable, or equal without being same
