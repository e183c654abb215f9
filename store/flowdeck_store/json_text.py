"""JSON out of the record: what was written into it by others may be nested to break whoever reads it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

#: How deep lists and objects may be nested; what is recorded stays far below.
MAX_DEPTH: Final = 400
#: What stands for a text that is nested deeper.
UNREADABLE: Final = '{"unreadable": "nested too deeply"}'
_MARKS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


class TooDeep(ValueError):
    """The text is nested deeper than anything that flowdeck records."""

    def __init__(self) -> None:
        super().__init__(f"it is nested more than {MAX_DEPTH} levels deep")


def loads(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    if isinstance(text, bytes):
        text = text.decode()
    if is_too_deep(text):
        raise TooDeep
    return json.loads(text)


def readable(text: str | None) -> str | None:
    """Return a JSON object's text, or :data:`UNREADABLE` in its place if it is nested too deeply."""
    return UNREADABLE if text is not None and is_too_deep(text) else text


def is_too_deep(text: str) -> bool:
    """Say whether lists and objects are nested more than :data:`MAX_DEPTH` levels deep."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _MARKS.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif mark in "]}":
            depth -= 1
    return False
