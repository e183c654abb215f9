"""What a docstring says about each parameter: Google, NumPy and Sphinx style."""

from __future__ import annotations

import inspect
import re
from typing import Final

_SPHINX: Final = re.compile(r"^:param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_FIELD: Final = re.compile(r"^:\w+")
_GOOGLE_SECTION: Final = re.compile(r"^(Args|Arguments|Parameters|Params|Keyword Arg(ument)?s):$")
_GOOGLE_ITEM: Final = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_SECTION: Final = re.compile(r"^(Other )?Parameters\s*$")
_NUMPY_ITEM: Final = re.compile(r"^\*{0,2}(\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def parameters(text: str) -> dict[str, str]:
    """Return the description of each parameter that the docstring mentions, on one line each."""
    lines = inspect.cleandoc(text).splitlines()
    return _sphinx(lines) or _numpy(lines) or _google(lines)


def _joined(found: dict[str, list[str]]) -> dict[str, str]:
    texts = {
        name: " ".join(part.strip() for part in parts if part.strip())
        for name, parts in found.items()
    }
    return {name: text for name, text in texts.items() if text}


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        match = _SPHINX.match(line.strip())
        if match:
            current = found.setdefault(match[1], [])
            current.append(match[2])
        elif not line.strip() or _FIELD.match(line.strip()):
            current = None
        elif current is not None:
            current.append(line)
    return _joined(found)


def _google(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    head = item = -1  # how far the section's title and its items are indented
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if head < 0 or indent <= head:
            head = indent if _GOOGLE_SECTION.match(line.strip()) else -1
            item, current = -1, None
            continue
        item = indent if item < 0 else item
        match = _GOOGLE_ITEM.match(line.strip()) if indent == item else None
        if match:
            current = found.setdefault(match[1], [])
            current.append(match[2])
        elif current is not None:
            current.append(line)
    return _joined(found)


def _numpy(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    current: list[list[str]] = []
    inside = False
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        if below.strip() and set(below.strip()) == {"-"}:
            inside, current = _NUMPY_SECTION.match(line.strip()) is not None, []
            continue
        if not inside or not line.strip() or set(line.strip()) == {"-"}:
            continue
        if line[0].isspace():
            for parts in current:
                parts.append(line)
            continue
        match = _NUMPY_ITEM.match(line)
        names = [name.strip(" *") for name in match[1].split(",")] if match else []
        current = [found.setdefault(name, []) for name in names]
    return _joined(found)
