"""One value of the launch form: what it is, how it is shown, what is wrong with a text. Pure."""

from __future__ import annotations

import datetime
import difflib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowdeck.values.redaction import has_hidden
from flowdeck_app.screens.launch.type_words import type_word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Schema types that a JSON value has, by Python type.
_TYPES: Final = {"array": list, "object": dict, "string": str, "boolean": bool}


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in: a parameter of the flow, or an option of a runner."""

    name: str
    annotation: str
    widget: str  # text int float bool choice date datetime path list json size group
    required: bool
    default: str  # as text; "" if there is none
    choices: tuple[str, ...] = ()
    doc: str = ""
    nullable: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""  # instead of the name
    path: tuple[str | int, ...] = ()  # of a part: where it stands in the value of the parameter
    adds: bool = False  # the row behind a list: what is typed there is one more item

    @property
    def key(self) -> str:
        """Name and path as people write them: ``cfg.retries``."""
        return ".".join((self.name, *map(str, self.path)))


def text_of(value: Any) -> str:
    """Return a JSON value as a field shows it: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def fields_of(parameters: Sequence[Mapping[str, Any]]) -> list[Field]:
    """Return the fields of a flow's form (see ``parameters.describe``)."""
    fields = []
    for info in parameters:
        if info["kind"] in {"var_positional", "positional_only"}:
            continue
        default = info["default_json"]
        text = "" if default is None else text_of(json.loads(default))
        choices = tuple(text_of(choice) for choice in info["choices"] or ())
        fields.append(
            Field(
                info["name"],
                type_word(info["annotation"], choices, nullable=bool(info["nullable"])),
                info["widget"],
                bool(info["required"]),
                text,
                choices,
                info["doc"],
                bool(info["nullable"]),
                info["schema"] or {},
            )
        )
    return fields


def problem(spec: Field, text: str) -> str | None:
    """Say what is wrong with a text, ``None`` if nothing is."""
    if has_hidden(text):
        return "hidden in the record: give it again"
    if text == "":
        if spec.required and spec.widget not in {"text", "path"}:
            return "needs a value"
        return None
    if spec.nullable and text == "null":
        return None
    checker = _CHECKS.get(spec.widget)
    return None if checker is None else checker(spec, text)


#: Sizes as Dask writes them: 4GB, 500 MiB, 0.5 (a share), auto.
_SIZE: Final = re.compile(r"(?i)(\d+(\.\d+)?)\s*([kmgtp]i?b?|b)?")


def _check_size(spec: Field, text: str) -> str | None:
    if text == "auto" or _SIZE.fullmatch(text.strip()):
        return None
    return f"not a size such as 4GB: {text!r}"


def _check_int(spec: Field, text: str) -> str | None:
    try:
        number = int(text)
    except ValueError:
        return f"not a whole number: {text!r}"
    return _bounds(spec, number)


def _check_float(spec: Field, text: str) -> str | None:
    try:
        number = float(text)
    except ValueError:
        return f"not a number: {text!r}"
    return _bounds(spec, number)


def _bounds(spec: Field, number: float) -> str | None:
    low, high = spec.schema.get("minimum"), spec.schema.get("maximum")
    if low is not None and number < low:
        return f"less than {low}"
    return f"more than {high}" if high is not None and number > high else None


def _check_bool(spec: Field, text: str) -> str | None:
    return None if text in {"true", "false"} else f"neither true nor false: {text!r}"


def _check_choice(spec: Field, text: str) -> str | None:
    if text in spec.choices:
        return None
    close = difflib.get_close_matches(text, spec.choices, 1)
    return f"not one of them; did you mean {close[0]!r}?" if close else "not one of the choices"


def _check_date(spec: Field, text: str) -> str | None:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return f"not a date such as 2026-11-22: {text!r}"
    return None


def _check_datetime(spec: Field, text: str) -> str | None:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return f"not a time such as 2026-11-22T08:30: {text!r}"
    return None


def _check_json(spec: Field, text: str) -> str | None:
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    wanted = _TYPES.get(str(spec.schema.get("type")))
    if wanted is not None and not isinstance(value, wanted):
        return f"not a JSON {spec.schema['type']}"
    return None


_CHECKS: Final = {
    "int": _check_int,
    "float": _check_float,
    "bool": _check_bool,
    "choice": _check_choice,
    "date": _check_date,
    "datetime": _check_datetime,
    "list": _check_json,
    "json": _check_json,
    "size": _check_size,
}
