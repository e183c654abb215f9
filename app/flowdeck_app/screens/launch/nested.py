"""Lists, models and dataclasses of the launch form as rows of their own, made from the JSON schema. Pure.

The value stays one JSON text, in the form as on the command line; the rows are a view of it. A text
that does not fit its part (``abc`` for a number) is in the JSON as a text until it is corrected, so
nothing that was typed is ever lost, and the check of the part finds it there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowdeck_app.screens.launch.specs import Field, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Schema = dict[str, Any]

#: Rows that a parameter may have, and how deep they go: what is larger is edited as JSON.
MOST_ROWS: Final = 40
DEEPEST: Final = 3
_SCALARS: Final = {"integer": "int", "number": "float", "boolean": "bool", "string": "text"}
_WORDS: Final = {"int": "int", "float": "float", "bool": "bool", "text": "str", "path": "Path"}
_FORMATS: Final = {"date": "date", "date-time": "datetime", "path": "path", "file-path": "path",
                   "directory-path": "path"}  # fmt: skip


def rows_of(spec: Field, text: str) -> list[Field]:
    """Return a parameter's rows: itself alone, or its head and its parts.

    Args:
        spec: the parameter.
        text: what it is now.
    """
    if spec.widget not in {"list", "json"}:
        return [spec]
    whole = _part_of(spec)
    if whole.widget not in {"list", "group"}:
        return [spec]
    value = _read(text)
    if text == "" and whole.widget == "list":
        value = []
    elif text == "" and (spec.required or not spec.nullable):
        value = {}
    head = replace(spec, widget="group")
    if value is None and spec.nullable:
        return [head]
    rows = _parts(whole, value, spec.schema.get("$defs") or {})
    return [spec] if rows is None or len(rows) > MOST_ROWS else [head, *rows]


def text_of_part(spec: Field, text: str) -> str:
    """Return what the row of a part shows, of the parameter's value as JSON text."""
    value = _read(text)
    for key in spec.path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return spec.default
    return text_of(value)


def is_given(spec: Field, text: str) -> bool:
    """Say whether the parameter's value, as JSON text, has this part."""
    value = _read(text)
    for key in spec.path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def with_part(whole: str, spec: Field, text: str, *, is_list: bool) -> str:
    """Return the parameter's value as JSON text with one part set to another text.

    Args:
        whole: the value before.
        spec: the part.
        text: what was typed; empty: an item is taken out, a field is its default again.
        is_list: the parameter is a list.
    """
    value = _read(whole)
    if not isinstance(value, (dict, list)):
        value = [] if is_list else {}
    at = value
    for key, after in zip(spec.path[:-1], spec.path[1:], strict=True):
        at = _entered(at, key, [] if isinstance(after, int) else {})
    key = spec.path[-1]
    gone = text == "" and (isinstance(at, list) or spec.widget not in {"text", "path"})
    if spec.widget == "group":
        gone = text == "false" and isinstance(at, list)
    if gone:
        if isinstance(at, dict):
            at.pop(key, None)
        elif isinstance(key, int) and key < len(at):
            del at[key]
    elif isinstance(at, list) and isinstance(key, int):
        at[key : key + 1] = [_value(spec, text)]
    elif isinstance(at, dict):
        at[key] = _value(spec, text)
    return json.dumps(value)


def _entered(at: Any, key: Any, empty: Any) -> Any:
    if isinstance(at, dict):
        if not isinstance(at.get(key), (dict, list)):
            at[key] = empty
        return at[key]
    if isinstance(key, int) and key < len(at):
        if not isinstance(at[key], (dict, list)):
            at[key] = empty
        return at[key]
    at.append(empty)
    return at[-1]


def _value(spec: Field, text: str) -> Any:
    if spec.widget == "group":
        if text == "false":
            return None
        return [] if "items" in spec.schema else {}
    if spec.nullable and text == "null":
        return None
    if spec.widget == "choice":
        values = [c for c in spec.schema.get("enum", ()) if text_of(c) == text]
        return values[0] if values else text
    if spec.widget in {"int", "float", "bool", "list", "json"}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parts(spec: Field, value: Any, defs: Mapping[str, Any]) -> list[Field] | None:
    """Return the rows below a list or a model; ``None``: what is there is something else."""
    if len(spec.path) >= DEEPEST:
        return None
    if spec.widget == "list":
        return _items(spec, value, defs) if isinstance(value, list) else None
    return _fields(spec, value, defs) if isinstance(value, dict) else None


def _items(spec: Field, value: Sequence[Any], defs: Mapping[str, Any]) -> list[Field] | None:
    if len(value) > MOST_ROWS:
        return None
    rows: list[Field] = []
    for place in range(len(value) + 1):
        adds = place == len(value)
        one = _made(spec, place, spec.schema["items"], defs, default="", required=False)
        one = replace(one, label=str(place), adds=adds)
        rows += [one] if adds else _with_parts(one, value[place], defs)
    return rows


def _fields(spec: Field, value: Mapping[str, Any], defs: Mapping[str, Any]) -> list[Field] | None:
    properties = spec.schema.get("properties") or {}
    if value.keys() - properties.keys():
        return None  # it holds what the rows would not show
    needed = spec.schema.get("required") or ()
    rows: list[Field] = []
    for name, schema in properties.items():
        default = schema.get("default")
        text = "" if default is None and "default" not in schema else text_of(default)
        one = _made(spec, name, schema, defs, default=text, required=name in needed)
        rows += _with_parts(one, value.get(name, _read(text) if text else None), defs)
    return rows


def _with_parts(one: Field, value: Any, defs: Mapping[str, Any]) -> list[Field]:
    """Return a part as one row, or as a head with rows below it."""
    if one.widget not in {"list", "group"}:
        return [one]
    if value is None and not one.nullable:
        value = [] if one.widget == "list" else {}
    head = replace(one, widget="group")
    if value is None:
        return [head]
    below = _parts(one, value, defs)
    return [replace(one, widget="json")] if below is None else [head, *below]


def _made(
    spec: Field, key: str | int, schema: Schema, defs: Mapping[str, Any], *, default: str,
    required: bool,
) -> Field:  # fmt: skip
    made = Field(
        spec.name, "", "json", required, default, label=str(key), path=(*spec.path, key),
        schema={**schema, "$defs": defs},
    )  # fmt: skip
    return _part_of(made)


def _part_of(spec: Field) -> Field:
    """Return a field with what its schema says: how it is edited, what it is called."""
    defs = spec.schema.get("$defs") or {}
    schema, nullable = _plain(spec.schema, defs)
    widget, choices = _widget(schema, spec.widget)
    kind = spec.annotation or _kind(schema, widget, choices, defs) + ("?" if nullable else "")
    doc = spec.doc or str(schema.get("description") or spec.schema.get("description") or "")
    return replace(
        spec, widget=widget, choices=choices, schema=schema, annotation=kind, doc=doc,
        nullable=spec.nullable or nullable,
    )  # fmt: skip


def _plain(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> tuple[Schema, bool]:
    """Return a schema with references followed and ``null`` taken out, and whether it was there."""
    found, nullable = dict(schema), False
    for _ in range(8):  # references may go in circles
        some = found.get("anyOf") or found.get("oneOf") or found.get("allOf")
        if "$ref" in found:
            name = str(found.pop("$ref")).rpartition("/")[2]
            found = {**dict(defs.get(name) or {}), **found}
        elif isinstance(some, list):
            others = [one for one in some if one.get("type") != "null"]
            nullable |= len(others) < len(some)
            if len(others) != 1:
                return {}, nullable
            found = {k: v for k, v in found.items() if k not in {"anyOf", "oneOf", "allOf"}}
            found = {**found, **others[0]}
        else:
            break
    return found, nullable


def _widget(schema: Schema, before: str) -> tuple[str, tuple[str, ...]]:
    """Return how a value of a schema is edited, and what there is to choose from."""
    kind = schema.get("type")
    if isinstance(schema.get("enum"), list):
        return "choice", tuple(text_of(one) for one in schema["enum"])
    if kind == "array" and isinstance(schema.get("items"), dict) and "prefixItems" not in schema:
        return "list", ()
    if kind == "object" and schema.get("properties"):
        return "group", ()
    if kind == "string" and schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]], ()
    return (_SCALARS.get(str(kind), "json") if before == "json" else before), ()


def _kind(schema: Schema, widget: str, choices: Sequence[str], defs: Mapping[str, Any]) -> str:
    if widget == "choice":
        return "|".join(choices)
    if widget == "list":
        inner, nullable = _plain(schema["items"], defs)
        found, some = _widget(inner, "json")
        return f"list[{_kind(inner, found, some, defs)}{'?' if nullable else ''}]"
    if widget == "group":
        return str(schema.get("title") or "model")
    return _WORDS.get(widget, "any" if widget == "json" else widget)
