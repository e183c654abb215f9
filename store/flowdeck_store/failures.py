"""The record of a failure, cut in two: what equal failures share, and what is each one's own.

A captured exception is a dict::

    {type, module, message, notes: [str], cause | context: exception or None,
     suppress_context: bool, group: [exception], truncated?: str,
     frames: [{file, lineno, end_lineno, col, end_col, func, module, is_user,
               source: [first line number, [lines]],
               locals: [{name, type, repr, size?, hidden?}]}]}

A hundred thousand mapped tasks that fail on one line have the same frames and source lines, and
differ in messages and local variables. So :func:`split` moves the latter out: the *structure* is
stored once under its hash, the *variables* with each failure, and :func:`join` puts them together.
The codec knows no field of the exception but those it moves: what is added later goes through.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

from flowdeck_store.json_text import loads

Captured: TypeAlias = dict[str, Any]

#: Fields of an exception that differ between equal failures.
_OWN: Final = ("message", "notes")
_NESTED: Final = ("cause", "context")
#: How deep causes, contexts and groups are followed; captured records stay far below.
_MAX_DEPTH: Final = 100


def split(exception: Captured) -> tuple[str, str]:
    """Cut a captured exception into structure and variables, both JSON.

    Equal failures give the same structure text, character by character.
    """
    structure, variables = _split(exception, 0)
    return _dump(structure), _dump(variables)


def join(structure: str, variables: str) -> Captured:
    """Put structure and variables together again: ``join(*split(e)) == e``.

    Raises:
        ValueError: one of them is no JSON object or nested too deeply, or they do not belong
            together.
    """
    parts = loads(structure), loads(variables)
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError("a recorded failure is not a JSON object")
    try:
        return _join(*parts)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"a failure's variables do not fit its structure: {error!r}") from error


def _dump(value: object) -> str:
    # ASCII only: a lone surrogate in a message must not make the row unwritable.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _split(exception: Captured, depth: int) -> tuple[Captured, Captured]:
    structure = dict(exception)
    variables: Captured = {key: structure.pop(key) for key in _OWN if key in structure}
    if exception.get("frames"):
        structure["frames"], variables["locals"] = _split_frames(exception["frames"])
    if depth >= _MAX_DEPTH:
        return structure, variables
    for key in _NESTED:
        if exception.get(key):
            structure[key], variables[key] = _split(exception[key], depth + 1)
    if exception.get("group"):
        parts = [_split(member, depth + 1) for member in exception["group"]]
        structure["group"] = [part[0] for part in parts]
        variables["group"] = [part[1] for part in parts]
    return structure, variables


def _split_frames(frames: list[Captured]) -> tuple[list[Captured], list[Any]]:
    bare, own = [], []
    for frame in frames:
        rest = dict(frame)
        # [] means "no locals field", [x] the field's value: both shapes come back as they were.
        own.append([rest.pop("locals")] if "locals" in rest else [])
        bare.append(rest)
    return bare, own


def _join(structure: Captured, variables: Captured) -> Captured:
    exception = dict(structure)
    for key in _OWN:
        if key in variables:
            exception[key] = variables[key]
    if "locals" in variables:
        pairs = zip(structure["frames"], variables["locals"], strict=True)
        exception["frames"] = [frame | ({"locals": own[0]} if own else {}) for frame, own in pairs]
    for key in _NESTED:
        if key in variables:
            exception[key] = _join(structure[key], variables[key])
    if "group" in variables:
        pairs = zip(structure["group"], variables["group"], strict=True)
        exception["group"] = [_join(member, own) for member, own in pairs]
    return exception
