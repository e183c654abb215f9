"""Parameters typed as text (``-p name=value``): JSON where the annotation wants it, else the text."""

from __future__ import annotations

import difflib
import enum
import functools
import inspect
import json
from typing import TYPE_CHECKING, Any, Final

from flowdeck.exceptions import ParameterBindError, ParameterTypeError
from flowdeck.parameters.annotations import adapter_for, annotations_of, check, without_none
from flowdeck.parameters.binding import function_name, signature_of
from flowdeck.parameters.forms import widget_of
from flowdeck.parameters.parts import split, value_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MISSING: Final = object()
#: For these the text itself is what is meant: ``"007"`` and ``20240101`` are no numbers.
_TEXT_FIRST: Final = frozenset({"text", "date", "datetime", "path"})


def from_texts(
    fn: Callable[..., Any], texts: Mapping[str, str], *, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Turn texts by parameter name into keyword arguments of the annotated types.

    A text is tried as JSON and as it is, whichever the annotation accepts first; ``null`` is
    ``None`` where ``None`` is allowed; members of an enum go by value or name.

    Args:
        fn: the flow's function.
        texts: what was typed, by parameter name.
        given: arguments that are known from elsewhere; they are only looked at where a text is of
            a part of one (``cfg.retries``), and then returned with it.

    Raises:
        ParameterBindError: a name is unknown, a parameter is missing or cannot be given by name.
        ParameterTypeError: texts do not fit the annotations; the message lists each.
    """
    signature = signature_of(fn)
    texts, parts = split(texts, signature.parameters)
    _check_names(fn, signature, {**texts, **dict.fromkeys(parts, "")}, given or {})
    annotations = annotations_of(fn, signature)
    extra = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for name, text in texts.items():
        source = name if name in signature.parameters and name != extra else extra
        annotation = annotations.get(source, Any) if source is not None else Any
        value, bad = value_from_text(name, text, annotation)
        values[name] = value
        problems += bad
    for name, some in parts.items():
        annotation = annotations.get(name, Any)
        base = values.get(name, (given or {}).get(name, signature.parameters[name].default))
        values[name], bad = value_with(
            name, base, some, annotation, functools.partial(_checked, name, annotation)
        )
        problems += bad
    if problems:
        raise ParameterTypeError.from_problems(problems)
    return values


def _checked(name: str, annotation: Any, value: Any) -> tuple[Any, list[tuple[str, str]]]:
    if annotation is Any or annotation is object:
        return value, []
    return check(adapter_for(annotation), name, value)


def _check_names(
    fn: Callable[..., Any],
    signature: inspect.Signature,
    texts: Mapping[str, str],
    given: Mapping[str, Any],
) -> None:
    parameters = signature.parameters
    by_name = {
        name: p
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in texts:
        if name in by_name:
            continue
        if name in parameters and parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
            raise ParameterBindError(
                f"Parameter {name!r} of {function_name(fn)!r} takes positional arguments only and "
                "cannot be given by name."
            )
        if not takes_any:
            raise ParameterBindError(_unknown(fn, name, list(by_name)))
    missing = [
        name
        for name, p in by_name.items()
        if p.default is p.empty and name not in texts and name not in given
    ]
    if missing:
        names = ", ".join(repr(name) for name in missing)
        plural = "s" if len(missing) > 1 else ""
        raise ParameterBindError(
            f"{function_name(fn)!r} needs the parameter{plural} {names}: "
            f"give {' '.join(f'-p {name}=VALUE' for name in missing)}."
        )


def _unknown(fn: Callable[..., Any], name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    has = f"It has: {', '.join(known)}." if known else "It has none."
    return f"{function_name(fn)!r} has no parameter {name!r}.{hint} {has}"


def value_from_text(name: str, text: str, annotation: Any) -> tuple[Any, list[tuple[str, str]]]:
    """Turn one text into a value of an annotation.

    Args:
        name: what it is called in messages.
        text: what was typed.
        annotation: resolved.

    Returns:
        The value; what is wrong, as (dotted path, text) pairs.
    """
    inner, nullable = without_none(annotation)
    if annotation is not Any and nullable and text == "null":
        return None, []
    parsed = _parse(text)
    if inner is Any or inner is object:
        return (text if parsed is _MISSING else parsed), []
    candidates = [text] if parsed is _MISSING or inner is str else [parsed, text]
    if widget_of(inner) in _TEXT_FIRST:
        candidates.reverse()
    adapter = adapter_for(annotation)
    first: list[tuple[str, str]] = []
    for candidate in candidates:
        value, bad = check(adapter, name, candidate)
        if not bad:
            return value, []
        first = first or bad
    member = _member(inner, text)
    return (None, first) if member is _MISSING else (member, [])


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _MISSING


def _member(annotation: Any, text: str) -> Any:
    """Return the enum's member of this name."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation.__members__.get(text, _MISSING)
    return _MISSING
