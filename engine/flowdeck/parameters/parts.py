"""Parts of parameters typed as text: ``-p cfg.retries=3`` sets a part of what ``cfg`` is else."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ParameterBindError
from flowdeck.parameters.annotations import without_none

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

Path = tuple[str, ...]
Problems = list[tuple[str, str]]
_MISSING: Final = object()


def split(
    texts: Mapping[str, str], known: Collection[str]
) -> tuple[dict[str, str], dict[str, dict[Path, str]]]:
    """Divide texts into those of whole parameters and those of parts, by parameter.

    Args:
        texts: what was typed, by name.
        known: names of parameters. A dot in any other name means nothing.
    """
    whole: dict[str, str] = {}
    parts: dict[str, dict[Path, str]] = {}
    for name, text in texts.items():
        head, *path = name.split(".")
        if path and head in known:
            parts.setdefault(head, {})[tuple(path)] = text
        else:
            whole[name] = text
    return whole, parts


def value_with(
    name: str,
    base: Any,
    parts: Mapping[Path, str],
    annotation: Any,
    check: Callable[[Any], tuple[Any, Problems]],
) -> tuple[Any, Problems]:
    """Return a parameter's value with some parts set.

    A text is tried as JSON and, where that does not fit, as it is.

    Args:
        name: of the parameter.
        base: its value without them; ``inspect.Parameter.empty`` if there is none.
        parts: texts by where they belong.
        annotation: of the parameter.
        check: converts a whole value; returns it and what does not fit.

    Raises:
        ParameterBindError: there is no such part.
    """
    plain = _plain(base)
    read: dict[Path, Any] = {}
    for path, text in parts.items():
        _check_path(name, path, annotation)
        parsed = _parse(text)
        read[path] = text if parsed is _MISSING else parsed
    value, problems = check(_placed(name, plain, read))
    for path, text in parts.items():
        if not problems:
            break
        if read[path] != text:
            other = {**read, path: text}
            better, left = check(_placed(name, plain, other))
            if len(left) < len(problems):
                value, problems, read = better, left, other
    return value, problems


def _plain(base: Any) -> Any:
    """Return a value in which parts can be set: models and dataclasses as dicts of their fields."""
    if isinstance(base, (dict, list)):
        return copy.deepcopy(base)
    if dataclasses.is_dataclass(base) or hasattr(type(base), "model_fields"):
        from pydantic import TypeAdapter

        return TypeAdapter(type(base)).dump_python(base)
    return {}  # nothing yet, or something that has no parts


def _placed(name: str, base: Any, parts: Mapping[Path, Any]) -> Any:
    whole = copy.deepcopy(base)
    for path, value in parts.items():
        at, way = whole, name
        for key in path[:-1]:
            at, way = _step(at, key, way), f"{way}.{key}"
        if isinstance(at, dict):
            at[path[-1]] = value
        else:
            at[_index(at, path[-1], way)] = value
    return whole


def _step(at: Any, key: str, way: str) -> Any:
    if isinstance(at, dict):
        if not isinstance(at.get(key), (dict, list)):
            at[key] = {}
        return at[key]
    return at[_index(at, key, way)]


def _index(at: Any, key: str, way: str) -> int:
    if not isinstance(at, list):
        raise ParameterBindError(f"{way} is {at!r:.80}, which has no part {key!r}.")
    if not key.isdecimal() or int(key) >= len(at):
        raise ParameterBindError(f"{way} has {len(at)} items, counted from 0: there is no {key!r}.")
    return int(key)


def _check_path(name: str, path: Sequence[str], annotation: Any) -> None:
    """Refuse a part that a model or dataclass has not: it would be dropped without a word."""
    way = name
    for key in path:
        fields = _fields_of(annotation)
        if fields is None:
            return
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ParameterBindError(f"{way} has no {key!r}.{hint} It has: {', '.join(fields)}.")
        annotation, way = fields[key], f"{way}.{key}"


def _fields_of(annotation: Any) -> dict[str, Any] | None:
    """Return names and annotations of a model's or dataclass's fields; ``None`` for anything else."""
    inner, _ = without_none(annotation)
    if not isinstance(inner, type):
        return None
    fields = getattr(inner, "model_fields", None)
    if isinstance(fields, dict):
        return {field.alias or name: field.annotation for name, field in fields.items()}
    if dataclasses.is_dataclass(inner):
        return {field.name: field.type for field in dataclasses.fields(inner)}
    return None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING
