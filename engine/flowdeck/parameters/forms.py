"""What forms and the command line need to know about a flow's parameters, from its annotations."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import json
import pathlib
import typing
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flowdeck.parameters import docstrings
from flowdeck.parameters.annotations import (
    adapter_for,
    annotations_of,
    is_unchecked,
    whole_annotation,
    without_none,
)
from flowdeck.parameters.binding import signature_of
from flowdeck.values.jsonable import dump_object, dump_value
from flowdeck.values.previews import params_reprs
from flowdeck.values.redaction import HIDDEN, is_hidden, names_in_force

Widget = Literal[
    "text", "int", "float", "bool", "choice", "date", "datetime", "path", "list", "json"
]

#: Characters of a default that are offered for editing; larger ones stay the function's own.
_DEFAULT_LIMIT: Final = 10_000

_SCALARS: Final[dict[Any, Widget]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    dt.datetime: "datetime",
    dt.date: "date",
}


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter, as a form shows it.

    Attributes:
        name: its name.
        kind: ``positional_only``, ``positional_or_keyword``, ``var_positional``,
            ``keyword_only`` or ``var_keyword``.
        annotation: the annotation as text, ``""`` if there is none.
        required: it has no default.
        default_json: the default as JSON; ``None`` if there is none, JSON cannot hold it, or it
            holds a secret.
        default_repr: the default as Python shows it; ``None`` if there is none.
        choices: the values to choose from (of a ``Literal`` or an enum), else ``None``.
        schema: JSON schema of the value; ``{}`` if unknown.
        widget: what to edit it with.
        doc: what the docstring says about it, ``""`` if nothing.
        nullable: ``None`` is one of the values.
    """

    name: str
    kind: str
    annotation: str
    required: bool
    default_json: str | None
    default_repr: str | None
    choices: tuple[Any, ...] | None
    schema: dict[str, Any]
    widget: Widget
    doc: str
    nullable: bool = field(default=False)


def describe(fn: Callable[..., Any]) -> list[ParameterInfo]:
    """Return what a form needs to know about each parameter, in order; calls nothing of ``fn``."""
    signature = signature_of(fn)
    annotations = annotations_of(fn, signature)
    docs = docstrings.parameters(inspect.getdoc(fn) or "")
    return [
        _describe(parameter, annotations.get(name, Any), docs.get(name, ""))
        for name, parameter in signature.parameters.items()
    ]


def _describe(parameter: inspect.Parameter, annotation: Any, doc: str) -> ParameterInfo:
    variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    has_default = parameter.default is not parameter.empty
    whole = whole_annotation(annotation, parameter.kind)
    inner, nullable = without_none(whole)
    doc = _described_in(whole) or doc
    default_json = _default_json(parameter) if has_default else None
    widget = widget_of(inner)
    if inner is Any and has_default:
        widget = _SCALARS.get(type(parameter.default), widget)
    return ParameterInfo(
        name=parameter.name,
        kind=parameter.kind.name.lower(),
        annotation=_as_text(parameter.annotation),
        required=not has_default and not variable,
        default_json=default_json,
        default_repr=params_reprs({parameter.name: parameter.default})[parameter.name]
        if has_default
        else None,
        choices=choices_of(inner),
        schema=schema_of(whole, doc, default_json),
        widget=widget,
        doc=doc,
        nullable=nullable,
    )


def _default_json(parameter: inspect.Parameter) -> str | None:
    """Return a default that may be shown and edited: one that holds a secret stays the function's.

    A form does not pass on what is as the default, so nobody needs to see it.
    """
    text = dump_value(parameter.default, _DEFAULT_LIMIT)
    if text is None or HIDDEN in text:
        return None
    if is_hidden(parameter.name, parameter.default, names_in_force()):
        return None
    plain = dump_object({"": parameter.default}, _DEFAULT_LIMIT, names_in_force())
    return None if HIDDEN in plain else text


def widget_of(annotation: Any) -> Widget:
    """Return what to edit a value of this (not optional) annotation with."""
    if is_unchecked(annotation):
        return "text"
    if isinstance(annotation, type) and annotation in _SCALARS:
        return _SCALARS[annotation]
    if choices_of(annotation) is not None:
        return "choice"
    origin = typing.get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return "json"
    if issubclass(origin, pathlib.PurePath):
        return "path"
    if issubclass(origin, str):
        return "text"
    if issubclass(origin, Mapping):
        return "json"
    if issubclass(origin, (list, tuple, AbstractSet)) or (
        issubclass(origin, Iterable) and origin.__module__ == "collections.abc"
    ):
        return "list"
    return "text" if origin.__module__ in _TEXT_MODULES else "json"


#: Modules of values that are written as one text: decimals, times, uuids, addresses.
_TEXT_MODULES: Final = frozenset({"decimal", "datetime", "uuid", "ipaddress", "re", "fractions"})


def choices_of(annotation: Any) -> tuple[Any, ...] | None:
    """Return the values of a ``Literal`` or an enum as JSON can hold them; ``None`` for others."""
    if typing.get_origin(annotation) is Literal:
        values: Iterable[Any] = typing.get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        values = list(annotation)
    else:
        return None
    return tuple(_choice(value) for value in values)


def _choice(value: Any) -> Any:
    plain = value.value if isinstance(value, enum.Enum) else value
    if isinstance(plain, (str, int, float, bool, type(None))):
        return plain
    return value.name if isinstance(value, enum.Enum) else str(value)


def _described_in(annotation: Any) -> str:
    """Return the description in ``Annotated[int, Field(description=...)]``."""
    if typing.get_origin(annotation) is not typing.Annotated:
        return ""
    for extra in annotation.__metadata__:
        for name in ("description", "documentation"):
            text = getattr(extra, name, None)
            if isinstance(text, str):
                return text
    return ""


def _as_text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def schema_of(annotation: Any, doc: str, default_json: str | None) -> dict[str, Any]:
    """Return the JSON schema of an annotation, ``{}`` where there is none.

    Args:
        annotation: resolved.
        doc: its description, unless the annotation has its own.
        default_json: its default; ``None``: none that anybody is to see.
    """
    schema: dict[str, Any] = {}
    adapter = None if is_unchecked(annotation) else adapter_for(annotation)
    if adapter is not None:
        try:
            schema = dict(adapter.json_schema())
        except Exception:  # an arbitrary class has no schema
            schema = {}
    if doc and "description" not in schema:
        schema["description"] = doc
    schema.pop("default", None)  # of a field; the parameter's own wins, or nobody is to see it
    if default_json is not None:
        schema["default"] = json.loads(default_json)
    return schema
